import { UnavailableError } from '../../errors.ts'
import { unlessAborted } from '../tools/coalesce.ts'
import { createAdmission, type ExpectedWork, NO_CLIENT, type Viewer } from './admission.ts'
import type { Place } from './backlog.ts'
import { createFairLine, createFairTurns, type FairLine } from './fair-turns.ts'

/**
 * `viewer`: somebody waits for a picture. `upload`: somebody waits for an upload to be taken. When both wait they take turns,
 * each with half of the time. `background`: nobody waits; it begins only while no other work waits and nobody holds it back,
 * and leaves a slot free for what may come, if there is more than one.
 */
export type Priority = 'viewer' | 'upload' | 'background'
type Awaited = Exclude<Priority, 'background'>

/** For so long the background can be held back, ms: under a load that never ends its work must be done all the same. */
export const HOLD_MS = 10_000
/** Of a turn of which nothing is known. */
const USUAL_COST_MS = 20

/**
 * A bounded number of tasks at once, and a bounded queue before them. A request is refused only if too many wait already, if
 * what waits holds too much memory, or if it would wait for too long.
 */
export interface WorkQueue {
  /** The error with which a request of this client would be refused now; undefined: it would be let in. */
  refusal(priority: Awaited, client?: string): UnavailableError | undefined
  /**
   * For a request that is about to enter.
   * @returns Gives the seat back. @throws UnavailableError `overloaded` if there is none.
   */
  takeSeat(priority: Awaited, client?: string): () => void
  /**
   * Takes a place before the work can begin, so that nothing is fetched for what would be refused after it.
   * @throws UnavailableError `overloaded` at once if too many have one, or what is before it would take too long.
   */
  enter(priority: Awaited, work: ExpectedWork): Place
  /**
   * Runs `task` in its turn: by priority, then by client, then in order. A slot is held until the task has really ended,
   * whoever still waits for it.
   *
   * @param signal Ends the waiting; a task whose turn had not come is never begun.
   * @throws UnavailableError `overloaded` at once if too many wait already or hold too much, or when its turn has not come in
   *   time.
   */
  run<T>(task: () => Promise<T>, signal: AbortSignal, work?: Work): Promise<T>
  /** Holds back what has not begun of the background, until the function that is returned is called. */
  holdBackground(): () => void
  readonly active: number
  /** Without the background's. */
  readonly waiting: number
  readonly waitingInBackground: number
  /** How long a viewer's work would wait that came now and went last. */
  readonly expectedWaitMs: number
}

export interface Work {
  /** Default: `viewer`. */
  readonly priority?: Priority
  readonly viewer?: Viewer | undefined
  /** From `enter`. It is left when the task begins; if it never does, by whoever entered. */
  readonly place?: Place | undefined
  /** Memory that is held for the task while it waits. Default: none worth counting. */
  readonly heldBytes?: number
}

export interface WorkQueueOptions {
  readonly name: string
  readonly concurrency: number
  /** Places for viewers, and as many for uploads; a client has as many of them at most as are left. */
  readonly maxWaiting: number
  /** How many of the background wait at most, beside the others. Default: as many as of the others. */
  readonly maxWaitingInBackground?: number
  /** Nobody but the background waits for longer. Absent: no limit. */
  readonly maxWaitMs?: number
  /** Nobody waits so long that its request is older than this: it could not be answered in time. Absent: no limit. */
  readonly maxAgeMs?: number
  /** Memory that is held for all that waits. Absent: no limit. */
  readonly maxHeldBytes?: number
  /** Called with the seconds that a task waited for its turn; not for the background, which is there to wait. */
  readonly onTurn?: (waitedSeconds: number) => void
}

interface Waiter {
  readonly work: Work
  readonly priority: Priority
  readonly client: string
  /** Since when it waits, by `performance.now()`. */
  readonly since: number
  begin(): void
}

const AWAITED = ['viewer', 'upload'] as const satisfies readonly Awaited[]

export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  const { name, concurrency, maxWaiting, maxWaitingInBackground = maxWaiting, onTurn } = options
  const { maxWaitMs = Infinity, maxAgeMs = Infinity, maxHeldBytes = Infinity } = options
  const admission = createAdmission<Awaited>({ name, concurrency, maxWaiting, maxWaitMs, maxAgeMs }, AWAITED)
  const lines: Readonly<Record<Priority, FairLine<Waiter>>> = {
    viewer: createFairLine(),
    upload: createFairLine(),
    background: createFairLine(),
  }
  const turns = createFairTurns<Awaited>()
  const maxActiveInBackground = Math.max(1, concurrency - 1)
  let active = 0
  let holds = 0
  let heldBytes = 0

  function mayBegin({ priority, since }: Waiter): boolean {
    if (priority !== 'background') return active < concurrency
    const isHeld = holds > 0 && performance.now() - since < HOLD_MS
    const isBehind = AWAITED.some((each) => lines[each].size > 0)
    return active < maxActiveInBackground && !isBehind && !isHeld
  }

  function nextWaiter(): Waiter | undefined {
    const priority = turns.next(AWAITED.filter((each) => lines[each].size > 0)) ?? 'background'
    return lines[priority].next()
  }

  function beginNext(): void {
    for (;;) {
      // Finding the next one takes a while, with many clients.
      const next = active < concurrency ? nextWaiter() : undefined
      if (next === undefined || !mayBegin(next)) return
      next.begin()
    }
  }

  /** Takes a slot now, and holds it until the task has ended. The task begins when whoever asked has gone on. */
  async function hold<T>(task: () => Promise<T>, signal: AbortSignal, { work, priority, client }: Waiter): Promise<T> {
    active += 1
    const costMs = work.place?.costMs
    if (priority !== 'background') turns.took(priority, costMs ?? USUAL_COST_MS)
    lines[priority].took(client, costMs ?? USUAL_COST_MS)
    work.place?.leave()
    const ended = admission.begin(costMs)
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

  /** @returns ends the waiting; a second call does nothing. */
  function wait(waiter: Waiter, giveUp: (error: UnavailableError) => void): () => void {
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
  }

  function waitBehind(): () => void {
    if (lines.background.size >= maxWaitingInBackground) throw admission.overloaded('viewer')
    if (holds > 0) setTimeout(beginNext, HOLD_MS + 1).unref()
    return () => {}
  }

  /** Who has entered has a seat already. */
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
      else stopWaiting = wait(waiter, turn.reject)
      return await unlessAborted(turn.promise, signal, () => stopWaiting())
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
      return lines.viewer.size + lines.upload.size
    },
    get waitingInBackground() {
      return lines.background.size
    },
    get expectedWaitMs() {
      return admission.expectedWaitMs('viewer')
    },
  }
}
