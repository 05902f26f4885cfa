import { UnavailableError } from '../errors.ts'
import { unlessAborted } from './coalesce.ts'

/**
 * `first`: short, and others wait for what it tells. `viewer`: somebody waits. `background`: nobody does; it begins only
 * while no other work waits, and leaves a slot free for what may come, if there is more than one.
 */
export type Priority = 'first' | 'viewer' | 'background'

/** A bounded number of tasks at once, and a bounded number that wait for their turn. */
export interface WorkQueue {
  /**
   * Runs `task` in its turn: by priority, then in order. A slot is held until the task has really ended, whoever still
   * waits for it.
   *
   * @param signal Ends the waiting; a task whose turn had not come is never begun.
   * @param priority Default: `viewer`.
   * @throws UnavailableError `overloaded` at once if too many wait already.
   */
  run<T>(task: () => Promise<T>, signal: AbortSignal, priority?: Priority): Promise<T>
  readonly active: number
  /** Without the background's. */
  readonly waiting: number
  readonly waitingInBackground: number
}

export interface WorkQueueOptions {
  readonly name: string
  readonly concurrency: number
  readonly maxWaiting: number
  /** How many of the background wait at most, beside the others. Default: as many as of the others. */
  readonly maxWaitingInBackground?: number
  /** Called with the seconds that a task waited for its turn; not for the background, which is there to wait. */
  readonly onTurn?: (waitedSeconds: number) => void
}

export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  const { name, concurrency, maxWaiting, maxWaitingInBackground = maxWaiting, onTurn } = options
  // Sets keep the order of arrival, and let go of those who give up.
  const waiting = { first: new Set<() => void>(), viewer: new Set<() => void>(), background: new Set<() => void>() }
  const maxActiveInBackground = Math.max(1, concurrency - 1)
  let active = 0

  const viewersWaiting = () => waiting.first.size + waiting.viewer.size

  function assertRoom(priority: Priority): void {
    const isFull =
      priority === 'background' ? waiting.background.size >= maxWaitingInBackground : viewersWaiting() >= maxWaiting
    if (isFull) throw new UnavailableError('overloaded', `Too many requests are waiting for ${name}`)
  }

  function mayBegin(priority: Priority): boolean {
    if (priority === 'background') return active < maxActiveInBackground && viewersWaiting() === 0
    return active < concurrency
  }

  /** Of each priority the ones that came first, as long as there is room. */
  function beginNext(): void {
    for (const priority of ['first', 'viewer', 'background'] as const) {
      for (const begin of waiting[priority]) {
        if (!mayBegin(priority)) break
        waiting[priority].delete(begin)
        begin()
      }
    }
  }

  /** Takes a slot now, and holds it until the task has ended. The task begins when whoever asked has gone on. */
  async function hold<T>(task: () => Promise<T>, signal: AbortSignal): Promise<T> {
    active += 1
    try {
      await Promise.resolve()
      signal.throwIfAborted()
      return await task()
    } finally {
      active -= 1
      beginNext()
    }
  }

  return {
    async run<T>(task: () => Promise<T>, signal: AbortSignal, priority: Priority = 'viewer') {
      signal.throwIfAborted()
      const since = performance.now()
      const turn = Promise.withResolvers<T>()
      const begin = () => {
        if (priority !== 'background') onTurn?.((performance.now() - since) / 1000)
        turn.resolve(hold(task, signal))
      }
      if (mayBegin(priority)) begin()
      else {
        assertRoom(priority)
        waiting[priority].add(begin)
      }
      return await unlessAborted(turn.promise, signal, () => waiting[priority].delete(begin))
    },
    get active() {
      return active
    },
    get waiting() {
      return viewersWaiting()
    },
    get waitingInBackground() {
      return waiting.background.size
    },
  }
}
