/** A task that is repeated until the node stops. */
export interface Repeating {
  /** Resolves after the first run. */
  start(): Promise<void>
  /** Aborts the task's signal, and resolves when the task has ended. */
  stop(): Promise<void>
}

/** @param pauseMs From the end of one run to the start of the next. @param task Reports its own failures: it never rejects. */
export function repeating(pauseMs: number, task: (signal: AbortSignal) => Promise<void>): Repeating {
  const stopping = new AbortController()
  const { signal } = stopping
  let loop = Promise.resolve()

  async function repeatAfter(first: Promise<void>): Promise<void> {
    await first
    while (!signal.aborted) {
      await delay(pauseMs, signal)
      if (!signal.aborted) await task(signal)
    }
  }

  return {
    async start() {
      const first = task(signal)
      loop = repeatAfter(first)
      await first
    },
    async stop() {
      stopping.abort()
      await loop
    },
  }
}

/** Ends early, without an error, when `signal` aborts. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, signal?.aborted ? 0 : ms)
    signal?.addEventListener('abort', end, { once: true })
  })
}
