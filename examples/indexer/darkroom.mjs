import { setTimeout as delay } from 'node:timers/promises'

const TIMEOUT_MS = 60_000
const LONGEST_PAUSE_MS = 30_000

/** Requests to Darkroom. `signal` ends them, and `repeat`. */
export function createDarkroom({ url, token, signal }) {
  return {
    /** @returns the response; rejects for a status other than 2xx and `expected`. */
    async get(path, expected = []) {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)])
      const response = await fetch(new URL(path, url), { headers: { Authorization: `Bearer ${token}` }, signal: limit })
      if (response.ok || expected.includes(response.status)) return response
      const { message = '' } = await response.json().catch(() => ({}))
      throw new Error(`GET ${path.slice(0, 80)} answered ${response.status} ${message}`)
    },

    /**
     * Calls `step` until the indexer is stopped or `step` returns false. After a failure it pauses: one second, then up to
     * half a minute, with jitter.
     */
    async repeat(step) {
      let failures = 0
      while (!signal.aborted) {
        try {
          if ((await step()) === false) return
          failures = 0
        } catch (error) {
          if (signal.aborted) return
          const pauseMs = Math.min(LONGEST_PAUSE_MS, 1000 * 2 ** failures) * (0.5 + Math.random() / 2)
          failures += 1
          console.error(`indexer: ${error.message}${error.cause ? `: ${error.cause.message}` : ''}; again in ${Math.ceil(pauseMs / 1000)} s`)
          await this.pause(pauseMs)
        }
      }
    },

    pause: (ms) => delay(ms, undefined, { signal }).catch(() => {}),
  }
}

/** The values of JSON lines. */
export const jsonLines = (text) => text.split('\n').filter(Boolean).map((line) => JSON.parse(line))

/** The URL of the next page. */
export const nextLink = (response) => /<(.+?)>; rel="next"/.exec(response.headers.get('link') ?? '')?.[1]
