import { UnavailableError } from '../errors.ts'
import { unlessAborted } from './coalesce.ts'

/**
 * `viewer`: somebody waits. `background`: nobody does; it begins only while no other work waits and nobody holds it back, and
 * leaves a slot free for what may come, if there is more than one.
 */
export type Priority = 'viewer' | 'background'

/** For so long the background can be held back, ms: under a load that never ends its work must be done all the same. */
export const HOLD_MS = 10_000

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
  /** Holds back what has not begun of the background, until the function that is returned is called. */
  holdBackground(): () => void
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

interface Waiter {
  /** Since when it waits, by `performance.now()`. */
  readonly since: number
  begin(): void
}

export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  const { name, concurrency, maxWaiting, maxWaitingInBackground = maxWaiting, onTurn } = options
  // Sets keep the order of arrival, and let go of those who give up.
  const waiting = { viewer: new Set<Waiter>(), background: new Set<Waiter>() }
  const maxActiveInBackground = Math.max(1, concurrency - 1)
  let active = 0
  let holds = 0

  function assertRoom(priority: Priority): void {
    const isFull = waiting[priority].size >= (priority === 'background' ? maxWaitingInBackground : maxWaiting)
    if (isFull) throw new UnavailableError('overloaded', `Too many requests are waiting for ${name}`)
  }

  function mayBegin(priority: Priority, since: number): boolean {
    if (priority === 'viewer') return active < concurrency
    const isHeld = holds > 0 && performance.now() - since < HOLD_MS
    return active < maxActiveInBackground && waiting.viewer.size === 0 && !isHeld
  }

  /** Of each priority the ones that came first, as long as there is room. */
  function beginNext(): void {
    for (const priority of ['viewer', 'background'] as const) {
      for (const waiter of waiting[priority]) {
        if (!mayBegin(priority, waiter.since)) break
        waiting[priority].delete(waiter)
        waiter.begin()
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
      const waiter = { since, begin }
      if (mayBegin(priority, since)) begin()
      else {
        assertRoom(priority)
        waiting[priority].add(waiter)
        if (priority === 'background' && holds > 0) setTimeout(beginNext, HOLD_MS + 1).unref()
      }
      return await unlessAborted(turn.promise, signal, () => waiting[priority].delete(waiter))
    },
    holdBackground() {
      holds += 1
      let held = true
      return () => {
        if (!held) return
        held = false
        holds -= 1
        if (holds === 0) beginNext()
      }
    },
    get active() {
      return active
    },
    get waiting() {
      return waiting.viewer.size
    },
    get waitingInBackground() {
      return waiting.background.size
    },
  }
}
