/** Work that nobody waits for but the node itself, when it stops. */
export interface Background {
  /** Aborts when the node stops. */
  readonly signal: AbortSignal
  /** @param work Tells of its failures itself: it never rejects. */
  track(work: Promise<unknown>): void
  /** Works that have not ended. */
  readonly pending: number
  /** Aborts the signal, and resolves when nothing is under way. */
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
      // One that ends may have begun another.
      while (works.size > 0) await Promise.all(works)
    },
  }
}
