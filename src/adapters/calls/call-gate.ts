import { UnavailableError } from '../../errors.ts'

export interface CallGate {
  /**
   * Waits for one of the places.
   * @returns Gives the place back; a second call does nothing.
   * @throws {UnavailableError} At once if too many wait already, when no call has ended for a while, or after the longest wait.
   */
  enter(signal: AbortSignal): Promise<() => void>
}

export interface CallGateSettings {
  readonly maxCalls: number
  readonly maxWaiting: number
  /** A wait ends if no call has ended for so long: the dependency does not answer. */
  readonly waitTimeoutMs: number
  /** A wait ends after so long in any case. Default: the caller's signal ends it. */
  readonly longestWaitMs?: number
  /** What is thrown where too many wait. Absent: `store_unavailable`. */
  readonly refusal?: () => UnavailableError
}

/**
 * Bounds how many calls of a dependency run at once, how many wait for their turn, and how long they wait for one that does not
 * answer; in order of arrival.
 */
export function createCallGate(settings: CallGateSettings): CallGate {
  const { maxCalls, maxWaiting, waitTimeoutMs, longestWaitMs = Infinity, refusal = tooMany } = settings
  let running = 0
  /** When a call has ended last, by `performance.now()`. */
  let endedAt = -Infinity
  const waiting = new Set<() => void>()

  const place = (): (() => void) => {
    let held = true
    return () => {
      if (!held) return
      held = false
      running -= 1
      endedAt = performance.now()
      const [next] = waiting
      next?.()
    }
  }

  return {
    enter(signal) {
      if (signal.aborted) return Promise.reject(signal.reason)
      if (running < maxCalls) {
        running += 1
        return Promise.resolve(place())
      }
      if (waiting.size >= maxWaiting) {
        return Promise.reject(refusal())
      }
      const { promise, resolve, reject } = Promise.withResolvers<() => void>()
      const leave = (): void => {
        clearTimeout(timer)
        waiting.delete(admit)
        signal.removeEventListener('abort', onAbort)
      }
      const onAbort = (): void => {
        leave()
        reject(signal.reason)
      }
      const admit = (): void => {
        leave()
        running += 1
        resolve(place())
      }
      const since = performance.now()
      const look = (): void => {
        const lastMs = Math.min(Math.max(since, endedAt) + waitTimeoutMs, since + longestWaitMs)
        const leftMs = lastMs - performance.now()
        if (leftMs > 0) {
          timer = setTimeout(look, leftMs)
          return
        }
        leave()
        reject(refusal())
      }
      let timer = setTimeout(look, waitTimeoutMs)
      waiting.add(admit)
      signal.addEventListener('abort', onAbort, { once: true })
      return promise
    },
  }
}

function tooMany(): UnavailableError {
  return new UnavailableError('store_unavailable', 'Too many requests are waiting for the object store')
}
