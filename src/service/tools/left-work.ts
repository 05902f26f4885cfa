/** Work that has begun and whose last caller has left: it is completed for later callers, within a bound. */
export interface LeftWork {
  /**
   * @param controller Aborts the work.
   * @param outcome May be rejected: nobody waits for it.
   * @returns false if there is no room: the caller aborts the work.
   */
  adopt(controller: AbortController, outcome: Promise<unknown>): boolean
  /** Since the start. */
  readonly counters: LeftWorkCounters
  /** Work in progress. */
  readonly pending: number
  /** Aborts it, and resolves when it has ended. */
  stop(): Promise<void>
}

export interface LeftWorkCounters {
  readonly kept: number
  /** Aborted, as there was no room. */
  readonly canceled: number
}

/** @param max Work at the same time. */
export function createLeftWork(max: number): LeftWork {
  const works = new Map<AbortController, Promise<unknown>>()
  const counters = { kept: 0, canceled: 0 }
  let isStopped = false
  return {
    adopt(controller, outcome) {
      const hasRoom = works.size < max && !isStopped
      counters[hasRoom ? 'kept' : 'canceled'] += 1
      if (!hasRoom) return false
      const end = () => works.delete(controller)
      works.set(controller, outcome.then(end, end))
      return true
    },
    counters,
    get pending() {
      return works.size
    },
    async stop() {
      isStopped = true
      for (const controller of works.keys()) controller.abort(new Error('The node is shutting down'))
      await Promise.all(works.values())
    },
  }
}
