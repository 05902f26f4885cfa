import { UnavailableError } from '../errors.ts'
import { type Backlog, createBacklog, type Place } from './backlog.ts'
import { unlessAborted } from './coalesce.ts'
import { createFairTurns } from './fair-turns.ts'

/**
 * `viewer`: somebody waits for a picture. `upload`: somebody waits for an upload to be taken. When both wait they take turns,
 * each with half of the time. `background`: nobody waits; it begins only while no other work waits and nobody holds it back,
 * and leaves a slot free for what may come, if there is more than one.
 */
export type Priority = 'viewer' | 'upload' | 'background'
type Awaited = Exclude<Priority, 'background'>

/** For so long the background can be held back, ms: under a load that never ends its work must be done all the same. */
export const HOLD_MS = 10_000

/**
 * The bytes of an upload are here already, and would have to come again: they are worth a longer wait than a picture, of which
 * nothing has been made.
 */
const UPLOAD_PATIENCE = 5
/**
 * What is expected to wait for longer than this part of the longest wait is refused at once: few are let in and then dropped.
 * Under a load that stays, all who are let in wait for about as long as that, so then it is a smaller part: those who get their
 * picture get it soon, and no fewer do. The whole of it is for a burst, such as a page of new pictures: so many for each slot,
 * until nobody waits any more.
 */
const EXPECTED_PART = 0.5
const STEADY_PART = 0.15
const BURST = 16
/** Of what has no place, for taking turns. */
const USUAL_COST_MS = 20

/** A bounded number of tasks at once, and a bounded number that wait for their turn, for a bounded time. */
export interface WorkQueue {
  /** The error with which a place would be refused now; undefined: there is one. */
  refusal(priority: Awaited): UnavailableError | undefined
  /**
   * Takes a place before the work can begin, so that nothing is fetched for what would be refused after it.
   * @throws UnavailableError `overloaded` at once if what is before it would take too long.
   */
  enter(priority: Awaited, costMs: number): Place
  /**
   * Runs `task` in its turn: by priority, then in order. A slot is held until the task has really ended, whoever still
   * waits for it.
   *
   * @param signal Ends the waiting; a task whose turn had not come is never begun.
   * @throws UnavailableError `overloaded` at once if too many wait already, or when its turn has not come in time.
   */
  run<T>(task: () => Promise<T>, signal: AbortSignal, work?: Work): Promise<T>
  /** Holds back what has not begun of the background, until the function that is returned is called. */
  holdBackground(): () => void
  readonly active: number
  /** Without the background's. */
  readonly waiting: number
  readonly waitingInBackground: number
  /** How long a viewer who comes now would wait, as far as one can tell. */
  readonly expectedWaitMs: number
}

export interface Work {
  /** Default: `viewer`. */
  readonly priority?: Priority
  /** From `enter`. It is left when the task begins; if it never does, by whoever entered. */
  readonly place?: Place | undefined
}

export interface WorkQueueOptions {
  readonly name: string
  readonly concurrency: number
  readonly maxWaiting: number
  /** How many of the background wait at most, beside the others. Default: as many as of the others. */
  readonly maxWaitingInBackground?: number
  /** Nobody but the background waits for longer; an upload five times as long. Absent: no limit. */
  readonly maxWaitMs?: number
  /** Called with the seconds that a task waited for its turn; not for the background, which is there to wait. */
  readonly onTurn?: (waitedSeconds: number) => void
}

interface Waiter {
  /** Since when it waits, by `performance.now()`. */
  readonly since: number
  readonly priority: Priority
  readonly place: Place | undefined
  begin(): void
}

const AWAITED = ['viewer', 'upload'] as const satisfies readonly Awaited[]

export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  const { name, concurrency, maxWaiting, maxWaitingInBackground = maxWaiting, maxWaitMs = Infinity, onTurn } = options
  // Sets keep the order of arrival, and let go of those who give up.
  const waiting: Readonly<Record<Priority, Set<Waiter>>> = {
    viewer: new Set(),
    upload: new Set(),
    background: new Set(),
  }
  const backlog: Backlog<Awaited> = createBacklog({ slots: concurrency, now: () => performance.now() })
  const turns = createFairTurns<Awaited>()
  const maxActiveInBackground = Math.max(1, concurrency - 1)
  let active = 0
  let holds = 0
  let burst = 0

  function patienceMs(priority: Priority): number {
    if (priority === 'background') return Infinity
    return priority === 'upload' ? maxWaitMs * UPLOAD_PATIENCE : maxWaitMs
  }

  function overloaded(priority: Awaited, waitMs = backlog.waitMs(priority)): UnavailableError {
    // Not before half of what is here has been done.
    const retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1000))
    // Without the places in the code, which nobody asks for: finding them took a tenth of the time of a refusal.
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 0
    const error = new UnavailableError('overloaded', `Too many requests are waiting for ${name}`, { retryAfterSeconds })
    Error.stackTraceLimit = stackTraceLimit
    return error
  }

  function assertLength(priority: Priority): void {
    if (waiting[priority].size < (priority === 'background' ? maxWaitingInBackground : maxWaiting)) return
    throw overloaded(priority === 'background' ? 'viewer' : priority)
  }

  function refusal(priority: Awaited, waitMs = backlog.waitMs(priority)): UnavailableError | undefined {
    const isTooMuch = isBurst(priority, waitMs) && burst >= BURST * concurrency && waiting.viewer.size > 0
    const isTooLong = waitMs > patienceMs(priority) * EXPECTED_PART
    return isTooMuch || isTooLong ? overloaded(priority, waitMs) : undefined
  }

  function isBurst(priority: Awaited, waitMs: number): boolean {
    return priority === 'viewer' && waitMs > maxWaitMs * STEADY_PART
  }

  function someoneWaits(): boolean {
    return AWAITED.some((priority) => waiting[priority].size > 0)
  }

  function mayBegin({ priority, since }: Waiter): boolean {
    if (priority !== 'background') return active < concurrency
    const isHeld = holds > 0 && performance.now() - since < HOLD_MS
    return active < maxActiveInBackground && !someoneWaits() && !isHeld
  }

  function nextWaiter(): Waiter | undefined {
    const priority = turns.next(AWAITED.filter((each) => waiting[each].size > 0)) ?? 'background'
    const [first] = waiting[priority]
    return first
  }

  function beginNext(): void {
    for (;;) {
      const next = nextWaiter()
      if (next === undefined || !mayBegin(next)) return
      waiting[next.priority].delete(next)
      next.begin()
    }
  }

  /** Takes a slot now, and holds it until the task has ended. The task begins when whoever asked has gone on. */
  async function hold<T>(task: () => Promise<T>, signal: AbortSignal, { priority, place }: Waiter): Promise<T> {
    active += 1
    const costMs = place?.costMs
    if (priority !== 'background') turns.took(priority, costMs ?? USUAL_COST_MS)
    place?.leave()
    const ended = backlog.begin(costMs)
    try {
      await Promise.resolve()
      signal.throwIfAborted()
      return await task()
    } finally {
      active -= 1
      ended()
      beginNext()
    }
  }

  /** Until its turn comes, or for as long as it has patience. */
  function wait(waiter: Waiter, giveUp: (error: UnavailableError) => void): () => void {
    const { priority } = waiter
    assertLength(priority)
    waiting[priority].add(waiter)
    if (priority === 'background') {
      if (holds > 0) setTimeout(beginNext, HOLD_MS + 1).unref()
      return () => {}
    }
    const ms = patienceMs(priority)
    if (ms === Infinity) return () => {}
    const timer = setTimeout(() => {
      waiting[priority].delete(waiter)
      giveUp(overloaded(priority))
    }, ms)
    return () => clearTimeout(timer)
  }

  return {
    refusal: (priority) => refusal(priority),
    enter(priority, costMs) {
      const waitMs = backlog.waitMs(priority)
      const error = refusal(priority, waitMs)
      if (error) throw error
      if (waiting.viewer.size === 0) burst = 0
      if (isBurst(priority, waitMs)) burst += 1
      return backlog.add(priority, costMs)
    },
    async run<T>(task: () => Promise<T>, signal: AbortSignal, { priority = 'viewer', place }: Work = {}) {
      signal.throwIfAborted()
      const since = performance.now()
      const turn = Promise.withResolvers<T>()
      let stopWaiting = () => {}
      const waiter: Waiter = {
        since,
        priority,
        place,
        begin() {
          stopWaiting()
          if (priority !== 'background') onTurn?.((performance.now() - since) / 1000)
          turn.resolve(hold(task, signal, waiter))
        },
      }
      if (mayBegin(waiter)) waiter.begin()
      else stopWaiting = wait(waiter, turn.reject)
      return await unlessAborted(turn.promise, signal, () => {
        stopWaiting()
        waiting[priority].delete(waiter)
      })
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
      return waiting.viewer.size + waiting.upload.size
    },
    get waitingInBackground() {
      return waiting.background.size
    },
    get expectedWaitMs() {
      return backlog.waitMs('viewer')
    },
  }
}
