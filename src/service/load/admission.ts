import { UnavailableError } from '../../errors.ts'
import { createSeats, NO_CLIENT, type Seats } from './fair-shares.ts'

/** A request that waits for some work. */
export interface Viewer {
  /** Its address. Clients take turns, and each has a bounded part of a queue. */
  readonly client: string
  /** When the request arrived, by `performance.now()`. */
  readonly since: number
  /** Called when the store, a bucket or a remote host has the original. */
  readonly found?: () => void
}

/** Work that a client waits for. The two kinds take turns, each with half of the time. */
export type Awaited = 'viewer' | 'upload'
export const AWAITED = ['viewer', 'upload'] as const satisfies readonly Awaited[]

export interface ExpectedWork {
  /** CPU time. */
  readonly costMs: number
  readonly viewer?: Viewer | undefined
}

/** A place in the queue, with the work that it stands for. */
export interface Place {
  /** Expected CPU time. */
  readonly costMs: number
  /** Corrects the expectation. The error of the first guess also corrects later guesses of this kind. */
  revise(costMs: number): void
  /** The work begins, or is given up. A second call has no effect. */
  leave(): void
}

export interface AdmissionLimits {
  /** The resource, for the message of a refusal. */
  readonly name: string
  /** Tasks that run at once. */
  readonly concurrency: number
  /** For each kind. A client has at most as many places as are free. */
  readonly maxWaiting: number
  readonly maxWaitMs: number
  /** Maximum age of a request at the end of its wait: an older one could not be answered in time. */
  readonly maxAgeMs: number
}

/** Decides whether a request may wait: it is refused if the queue is full, or if its expected wait is too long. */
export interface Admission {
  /** @returns The error with which a request of this client would be refused now. */
  refusal(kind: Awaited, client?: string): UnavailableError | undefined
  /**
   * Takes a place before the work can begin, so that a request that would be refused later costs no fetch.
   * @throws UnavailableError `overloaded` at once if the queue is full or the expected wait is too long.
   */
  enter(kind: Awaited, work: ExpectedWork): Place
  /**
   * For a request that waits without a place, with work of unknown duration.
   * @returns Gives the seat back. @throws UnavailableError `overloaded` if there is none.
   */
  takeSeat(kind: Awaited, client?: string): () => void
  /** Time for which this request may still wait; 0: none. */
  patienceMs(viewer: Viewer | undefined): number
  /** The error for a request whose turn did not come in time. */
  overloaded(kind: Awaited): UnavailableError
  /** A task begins. @param costMs Absent: unknown. @returns To be called when it has ended. */
  begin(costMs: number | undefined): () => void
  /** Expected wait of work of this kind that arrives now and has its turn last. */
  expectedWaitMs(kind: Awaited): number
}

/** First guess of the work of a request of which only the client is known. */
const USUAL_COST_MS = 20

export function createAdmission({ name, concurrency, maxWaiting, maxWaitMs, maxAgeMs }: AdmissionLimits): Admission {
  const backlog = createBacklog({ slots: concurrency, now: () => performance.now() })
  const seats: Readonly<Record<Awaited, Seats>> = { viewer: createSeats(maxWaiting), upload: createSeats(maxWaiting) }

  function overloaded(waitMs: number): UnavailableError {
    const retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1000))
    // Without a stack: collecting it took a tenth of the time of a refusal.
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 0
    const error = new UnavailableError('overloaded', `Too many requests are waiting for ${name}`, { retryAfterSeconds })
    Error.stackTraceLimit = stackTraceLimit
    return error
  }

  function patienceMs(viewer: Viewer | undefined): number {
    if (viewer === undefined) return maxWaitMs
    return Math.max(0, Math.min(maxWaitMs, viewer.since + maxAgeMs - performance.now()))
  }

  function refusalOf(kind: Awaited, client: string | undefined, costMs: number, patience: number) {
    const mostMs = backlog.waitMs(kind)
    if (seats[kind].isFull(client)) return overloaded(mostMs)
    // The exact wait takes time to compute with many clients, and is never longer than this one.
    if (mostMs <= patience) return undefined
    const waitMs = backlog.waitInTurnMs({ kind, client: client ?? NO_CLIENT, costMs })
    return waitMs > patience ? overloaded(waitMs) : undefined
  }

  return {
    refusal: (kind, client) => refusalOf(kind, client, USUAL_COST_MS, maxWaitMs),
    enter(kind, { costMs, viewer }) {
      const client = viewer?.client
      const error = refusalOf(kind, client, costMs, patienceMs(viewer))
      if (error) throw error
      const onLeave = seats[kind].take(client)
      return backlog.add({ kind, client: client ?? NO_CLIENT, costMs, onLeave })
    },
    takeSeat(kind, client) {
      if (seats[kind].isFull(client)) throw overloaded(backlog.waitMs(kind))
      return seats[kind].take(client)
    },
    patienceMs,
    overloaded: (kind) => overloaded(backlog.waitMs(kind)),
    begin: backlog.begin,
    expectedWaitMs: backlog.waitMs,
  }
}

export interface BacklogEntry {
  readonly kind: Awaited
  readonly client: string
  /** Expected CPU time. */
  readonly costMs: number
  /** Called once, when the place is left. */
  readonly onLeave?: () => void
}

/** Waiting work and running work, as expected time. */
export interface Backlog {
  add(entry: BacklogEntry): Place
  /** @param costMs Absent: unknown. @returns To be called when it has ended. */
  begin(costMs?: number): () => void
  /** Expected wait of work of this kind that arrives now and has its turn last. */
  waitMs(kind: Awaited): number
  /** Expected wait of this work of this client, in its turn. */
  waitInTurnMs(entry: Pick<BacklogEntry, 'kind' | 'client' | 'costMs'>): number
}

export interface BacklogOptions {
  /** Tasks that run at once. */
  readonly slots: number
  /** Ms; a clock that is never set back. */
  readonly now: () => number
}

interface Running {
  readonly costMs: number | undefined
  readonly since: number
}

/** Moving averages over about 30 tasks. */
const MEMORY = 0.97
/** Weight of the averages before the first task; also the expected duration of unknown work until then. */
const FIRST_MS = 200
/** A task counts for at most this multiple of the expectation: one that hung says little of the next. */
const MOST = 4

/** Moving averages of expected and actual durations. */
interface Lately {
  expectedMs: number
  actualMs: number
}

/** Waiting work of one kind, by client. */
interface Waiting {
  totalMs: number
  places: number
  readonly byClient: Map<string, { ms: number; places: number }>
  /** How far off the first guesses of this kind were. */
  readonly guesses: Lately
}

/**
 * Expects the kinds to take turns, and the clients within a kind, as `createFairTurns` schedules them: a client waits for at
 * most as much work of another as it has itself.
 */
export function createBacklog({ slots, now }: BacklogOptions): Backlog {
  const waiting: Readonly<Record<Awaited, Waiting>> = { viewer: nothingWaiting(), upload: nothingWaiting() }
  const running = new Set<Running>()
  const work = firstAverage()
  const unknown = { tasks: 1, ms: FIRST_MS }

  /** @param aheadMs CPU time of the work of this kind that comes before. */
  function waitAfter(kind: Awaited, aheadMs: number, ownMs: number): number {
    let ms = aheadMs
    for (const other of AWAITED) if (other !== kind) ms += Math.min(aheadMs + ownMs, waiting[other].totalMs)
    const pace = ratioOf(work)
    const usualMs = unknown.ms / unknown.tasks
    const busy = [...running].map(({ costMs, since }) =>
      Math.max(0, (costMs === undefined ? usualMs : costMs * pace) - (now() - since)),
    )
    const free = Array.from({ length: Math.max(0, slots - running.size) }, () => 0)
    return filledAfter(ms * pace, [...free, ...busy])
  }

  return {
    add({ kind, client, costMs, onLeave }) {
      const ofKind = waiting[kind]
      let held = costMs * ratioOf(ofKind.guesses)
      let isGuess = true
      let isHeld = true
      change(ofKind, client, { ms: held, places: 1 })
      return {
        get costMs() {
          return held
        },
        revise(newMs) {
          if (!isHeld) return
          if (isGuess) learn(ofKind.guesses, costMs, newMs)
          isGuess = false
          change(ofKind, client, { ms: newMs - held, places: 0 })
          held = newMs
        },
        leave() {
          if (!isHeld) return
          isHeld = false
          change(ofKind, client, { ms: -held, places: -1 })
          onLeave?.()
        },
      }
    },
    begin(costMs) {
      const task = { costMs, since: now() }
      running.add(task)
      return () => {
        if (!running.delete(task)) return
        const tookMs = now() - task.since
        if (costMs !== undefined) return learn(work, costMs, tookMs)
        unknown.tasks = unknown.tasks * MEMORY + 1
        unknown.ms = unknown.ms * MEMORY + tookMs
      }
    },
    waitMs: (kind) => waitAfter(kind, waiting[kind].totalMs, 0),
    waitInTurnMs({ kind, client, costMs }) {
      const { byClient, guesses } = waiting[kind]
      const ownMs = costMs * ratioOf(guesses)
      const before = byClient.get(client)?.ms ?? 0
      let ahead = before
      for (const [other, { ms }] of byClient) if (other !== client) ahead += Math.min(before + ownMs, ms)
      return waitAfter(kind, ahead, ownMs)
    },
  }
}

function firstAverage(): Lately {
  return { expectedMs: FIRST_MS, actualMs: FIRST_MS }
}

function nothingWaiting(): Waiting {
  return { totalMs: 0, places: 0, byClient: new Map(), guesses: firstAverage() }
}

/** Sums start again from zero when the last place is left, so that rounding errors do not add up. */
function change(ofKind: Waiting, client: string, by: { readonly ms: number; readonly places: number }): void {
  const own = ofKind.byClient.get(client) ?? { ms: 0, places: 0 }
  own.ms = Math.max(0, own.ms + by.ms)
  own.places += by.places
  if (own.places > 0) ofKind.byClient.set(client, own)
  else ofKind.byClient.delete(client)
  ofKind.places += by.places
  ofKind.totalMs = ofKind.places > 0 ? Math.max(0, ofKind.totalMs + by.ms) : 0
}

function learn(lately: Lately, expectedMs: number, actualMs: number): void {
  const mostMs = MOST * ratioOf(lately) * expectedMs
  lately.expectedMs = lately.expectedMs * MEMORY + expectedMs
  lately.actualMs = lately.actualMs * MEMORY + Math.min(actualMs, mostMs)
}

function ratioOf({ expectedMs, actualMs }: Lately): number {
  return actualMs / expectedMs
}

/**
 * Time until this much work is done, if each slot takes the next task as soon as it is free: one long task keeps one slot
 * busy, not all.
 * @param busyMs Remaining time of each slot's task; at least one slot.
 */
function filledAfter(workMs: number, busyMs: readonly number[]): number {
  const [first = 0, ...later] = busyMs.toSorted((a, b) => a - b)
  let level = first
  let left = workMs
  for (const [index, next] of later.entries()) {
    const room = (next - level) * (index + 1)
    if (left <= room) return level + left / (index + 1)
    left -= room
    level = next
  }
  return level + left / Math.max(1, busyMs.length)
}
