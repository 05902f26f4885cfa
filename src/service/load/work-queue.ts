import { UnavailableError } from '../../errors.ts'
import { unlessAborted } from '../tools/coalesce.ts'
import { type Admission, AWAITED, type Awaited, createAdmission, type Place, type Viewer } from './admission.ts'
import { createFairLine, createFairTurns, type FairLine, NO_CLIENT } from './fair-shares.ts'

/**
 * `viewer`: a client waits for a picture. `upload`: a client waits for its upload. `background`: no client waits; it begins
 * only while no other work waits and nothing holds it back, and leaves a slot free if there is more than one.
 */
export type Priority = Awaited | 'background'

/** Maximum time for which the background can be held back, ms: its work is done even under a load that never ends. */
export const HOLD_MS = 10_000
/** Cost of a turn whose cost is unknown. */
const USUAL_COST_MS = 20

/**
 * A bounded number of tasks at once, with a bounded queue. A request is refused only if the queue is full, if the queue holds
 * too much memory, or if the request would wait too long.
 */
export interface WorkQueue extends Pick<Admission, 'refusal' | 'enter' | 'takeSeat'> {
  /**
   * Runs `task` in its turn: by priority, then by client, then in order of arrival. The slot is held until the task has
   * really ended, even if its caller has left.
   *
   * @param signal Ends the wait; a task whose turn had not come never begins.
   * @throws UnavailableError `overloaded` at once if the queue is full or holds too much memory, or when the turn does not
   *   come in time.
   */
  run<T>(task: () => Promise<T>, signal: AbortSignal, work?: Work): Promise<T>
  /** Holds back background tasks that have not begun. @returns Ends the hold. */
  holdBackground(): () => void
  readonly active: number
  /** Without the background. */
  readonly waiting: number
  readonly waitingInBackground: number
  /** Expected wait of a viewer's work that arrives now and has its turn last. */
  readonly expectedWaitMs: number
}

export interface Work {
  /** Default: `viewer`. */
  readonly priority?: Priority
  readonly viewer?: Viewer | undefined
  /** From `enter`. The queue leaves it when the task begins; if the task never begins, the caller does. */
  readonly place?: Place | undefined
  /** Memory held for the task while it waits. Default: negligible. */
  readonly heldBytes?: number
}

export interface WorkQueueOptions {
  readonly name: string
  readonly concurrency: number
  /** Places for viewers, and as many for uploads. A client has at most as many places as are free. */
  readonly maxWaiting: number
  /** Places for the background, beside the others. Default: `maxWaiting`. */
  readonly maxWaitingInBackground?: number
  /** Maximum wait, except for the background. Absent: no limit. */
  readonly maxWaitMs?: number
  /** Maximum age of a request at the end of its wait: an older one could not be answered in time. Absent: no limit. */
  readonly maxAgeMs?: number
  /** Maximum memory held for all waiting tasks. Absent: no limit. */
  readonly maxHeldBytes?: number
  /** Called with the seconds that a task waited for its turn; not for the background. */
  readonly onTurn?: (waitedSeconds: number) => void
}

interface Waiter {
  readonly work: Work
  readonly priority: Priority
  readonly client: string
  /** Start of the wait, by `performance.now()`. */
  readonly since: number
  begin(): void
}

export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  const { name, concurrency, maxWaiting, maxWaitMs = Infinity, maxAgeMs = Infinity, onTurn } = options
  const admission = createAdmission({ name, concurrency, maxWaiting, maxWaitMs, maxAgeMs })
  const lines = createLines(options, admission)
  const holds = createHolds(beginNext)
  const maxActiveInBackground = Math.max(1, concurrency - 1)
  let active = 0

  function mayBegin({ priority, since }: Waiter): boolean {
    if (priority !== 'background') return active < concurrency
    return active < maxActiveInBackground && lines.awaited === 0 && !holds.block(since)
  }

  function beginNext(): void {
    for (;;) {
      // Finding the next waiter takes time with many clients.
      const next = active < concurrency ? lines.next() : undefined
      if (next === undefined || !mayBegin(next)) return
      next.begin()
    }
  }

  /** Takes a slot now, and holds it until the task has ended. The task itself begins asynchronously. */
  async function hold<T>(task: () => Promise<T>, signal: AbortSignal, waiter: Waiter): Promise<T> {
    active += 1
    const { place } = waiter.work
    lines.took(waiter, place?.costMs ?? USUAL_COST_MS)
    const ended = admission.begin(place?.costMs)
    place?.leave()
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

  return {
    refusal: admission.refusal,
    takeSeat: admission.takeSeat,
    enter: admission.enter,
    async run<T>(task: () => Promise<T>, signal: AbortSignal, work: Work = {}) {
      signal.throwIfAborted()
      const { priority = 'viewer', viewer } = work
      const since = performance.now()
      const turn = Promise.withResolvers<T>()
      let stopWaiting = () => {}
      const waiter: Waiter = {
        work,
        priority,
        client: viewer?.client ?? NO_CLIENT,
        since,
        begin() {
          stopWaiting()
          if (priority !== 'background') onTurn?.((performance.now() - since) / 1000)
          turn.resolve(hold(task, signal, waiter))
        },
      }
      if (mayBegin(waiter)) waiter.begin()
      else {
        stopWaiting = lines.wait(waiter, turn.reject)
        if (priority === 'background') holds.retryAfterLimit()
      }
      return await unlessAborted(turn.promise, signal, () => stopWaiting())
    },
    holdBackground: holds.hold,
    get active() {
      return active
    },
    get waiting() {
      return lines.awaited
    },
    get waitingInBackground() {
      return lines.background
    },
    get expectedWaitMs() {
      return admission.expectedWaitMs('viewer')
    },
  }
}

/** Holds on the background. @param onFree Called when the last hold ends, and when a hold has reached its maximum time. */
function createHolds(onFree: () => void) {
  let holds = 0
  return {
    /** Whether a background task that has waited since then is held back. */
    block: (since: number): boolean => holds > 0 && performance.now() - since < HOLD_MS,
    retryAfterLimit(): void {
      if (holds > 0) setTimeout(onFree, HOLD_MS + 1).unref()
    },
    hold(): () => void {
      holds += 1
      let isHeld = true
      return () => {
        if (!isHeld) return
        isHeld = false
        holds -= 1
        if (holds === 0) onFree()
      }
    },
  }
}

/** The waiting tasks: viewers and uploads take turns, and the clients of each; the background comes last. */
function createLines(options: WorkQueueOptions, admission: Admission) {
  const { name, maxWaiting, maxWaitingInBackground = maxWaiting, maxHeldBytes = Infinity } = options
  const lines: Readonly<Record<Priority, FairLine<Waiter>>> = {
    viewer: createFairLine(),
    upload: createFairLine(),
    background: createFairLine(),
  }
  const turns = createFairTurns<Awaited>()
  let heldBytes = 0

  /** A task with a place has a seat already. */
  function waitInTurn(priority: Awaited, { viewer, place }: Work, onLate: () => void): () => void {
    const patienceMs = admission.patienceMs(viewer)
    if (patienceMs === 0) throw admission.overloaded(priority)
    const leaveSeat = place === undefined ? admission.takeSeat(priority, viewer?.client) : undefined
    const timer = patienceMs === Infinity ? undefined : setTimeout(onLate, patienceMs)
    return () => {
      clearTimeout(timer)
      leaveSeat?.()
    }
  }

  function waitBehind(): () => void {
    if (lines.background.size >= maxWaitingInBackground) throw admission.overloaded('viewer')
    return () => {}
  }

  return {
    /** The waiter with the next turn; it stays in its line. */
    next(): Waiter | undefined {
      const priority = turns.next(AWAITED.filter((each) => lines[each].size > 0)) ?? 'background'
      return lines[priority].next()
    },
    /** This waiter has its turn. */
    took({ priority, client }: Waiter, costMs: number): void {
      if (priority !== 'background') turns.took(priority, costMs)
      lines[priority].took(client, costMs)
    },
    /** @param giveUp Called when the turn does not come in time. @returns Ends the wait; a second call has no effect. */
    wait(waiter: Waiter, giveUp: (error: UnavailableError) => void): () => void {
      const { work, priority, client } = waiter
      const bytes = work.heldBytes ?? 0
      if (heldBytes + bytes > maxHeldBytes) {
        throw new UnavailableError('overloaded', `The memory limit for requests waiting for ${name} is reached`)
      }
      const leave = priority === 'background' ? waitBehind() : waitInTurn(priority, work, () => end(giveUp))
      lines[priority].add(client, waiter)
      heldBytes += bytes
      let isWaiting = true
      function end(then?: (error: UnavailableError) => void): void {
        if (!isWaiting) return
        isWaiting = false
        leave()
        lines[priority].remove(client, waiter)
        heldBytes -= bytes
        if (priority !== 'background') then?.(admission.overloaded(priority))
      }
      return end
    },
    get awaited(): number {
      return lines.viewer.size + lines.upload.size
    },
    get background(): number {
      return lines.background.size
    },
  }
}
