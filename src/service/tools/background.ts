/** Background work, which only the shutdown of the node waits for. */
export interface Background {
  /** Aborts when the node stops. */
  readonly signal: AbortSignal
  /** @param work Reports its failures itself: it never rejects. */
  track(work: Promise<unknown>): void
  /** Number of running tasks. */
  readonly pending: number
  /** Aborts the signal, and resolves when all work has ended. */
  stop(): Promise<void>
}

export function createBackground(): Background {
  const works = new Set<Promise<unknown>>()
  const stopping = new AbortController()
  return {
    signal: stopping.signal,
    track(work) {
      const tracked = work.finally(() => works.delete(tracked))
      works.add(tracked)
    },
    get pending() {
      return works.size
    },
    async stop() {
      stopping.abort(new Error('The node is shutting down'))
      // Work that ends may have started other work.
      while (works.size > 0) await Promise.all(works)
    },
  }
}
