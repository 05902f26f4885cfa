import pLimit from 'p-limit'
import { UnavailableError } from '../errors.ts'
import { unlessAborted } from './coalesce.ts'

/** A bounded number of tasks at once, and a bounded number that wait for their turn. */
export interface WorkQueue {
  /**
   * Runs `task` in its turn. A slot is held until the task has really ended, whoever still waits for it.
   *
   * @param signal Ends the waiting; a task whose turn had not come is never begun.
   * @throws UnavailableError `overloaded` at once if too many wait already.
   */
  run<T>(task: () => Promise<T>, signal: AbortSignal): Promise<T>
  readonly active: number
  readonly waiting: number
}

export interface WorkQueueOptions {
  readonly name: string
  readonly concurrency: number
  readonly maxWaiting: number
  /** Called with the seconds that a task waited for its turn. */
  readonly onTurn?: (waitedSeconds: number) => void
}

export function createWorkQueue({ name, concurrency, maxWaiting, onTurn }: WorkQueueOptions): WorkQueue {
  const limit = pLimit(concurrency)
  // p-limit's own queue has no bound and keeps those who have given up, so we count who really waits.
  let waiting = 0
  let active = 0

  return {
    async run(task, signal) {
      signal.throwIfAborted()
      // Together, as a burst comes before any of it has begun.
      if (active + waiting >= concurrency + maxWaiting) {
        throw new UnavailableError('overloaded', `Too many requests are waiting for ${name}`)
      }
      const since = performance.now()
      let state: 'waiting' | 'begun' | 'given up' = 'waiting'
      waiting += 1
      const outcome = limit(async () => {
        if (state === 'given up') throw signal.reason
        state = 'begun'
        waiting -= 1
        active += 1
        onTurn?.((performance.now() - since) / 1000)
        try {
          return await task()
        } finally {
          active -= 1
        }
      })
      return unlessAborted(outcome, signal, () => {
        if (state !== 'waiting') return
        state = 'given up'
        waiting -= 1
      })
    },
    get active() {
      return active
    },
    get waiting() {
      return waiting
    },
  }
}
