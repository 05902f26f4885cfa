import { UnavailableError } from '../../errors.ts'
import { createBacklog, type Place } from './backlog.ts'

/** A request that waits for some work. */
export interface Viewer {
  /** Its address. Clients take turns, and each has a bounded part of a queue. */
  readonly client: string
  /** When the request came, by `performance.now()`. */
  readonly since: number
}

export interface ExpectedWork {
  /** Of CPU. */
  readonly costMs: number
  readonly viewer?: Viewer | undefined
}

export interface AdmissionLimits {
  /** What is waited for, for the message of a refusal. */
  readonly name: string
  /** How many tasks run at once. */
  readonly concurrency: number
  /** Of each kind; a client has as many at most as are left. */
  readonly maxWaiting: number
  readonly maxWaitMs: number
  /** Nobody waits so long that its request is older than this: it could not be answered in time. */
  readonly maxAgeMs: number
}

/** Who may wait in a queue: a request is refused only if too many wait already, or if it would wait for too long. */
export interface Admission<Kind extends string> {
  /** The error with which a request of this client would be refused now; undefined: it would be let in. */
  refusal(kind: Kind, client?: string): UnavailableError | undefined
  /** @throws UnavailableError `overloaded` */
  enter(kind: Kind, work: ExpectedWork): Place
  /**
   * For what waits without having entered, and of which nobody knows how long it takes.
   * @returns Gives the seat back. @throws UnavailableError `overloaded` if there is none.
   */
  takeSeat(kind: Kind, client: string | undefined): () => void
  /** For how much longer this request may wait; 0: not at all. */
  patienceMs(viewer: Viewer | undefined): number
  /** For one who has waited in vain, or must not begin to. */
  overloaded(kind: Kind): UnavailableError
  /** The work begins. @param costMs Absent: unknown. @returns to be called when it has ended. */
  begin(costMs: number | undefined): () => void
  /** How long work of this kind would wait that came now and went last. */
  expectedWaitMs(kind: Kind): number
}

/** The client of all work that names none. */
export const NO_CLIENT = ''

/** First guess of the work of a request of which only its client is known. */
const USUAL_COST_MS = 20

export function createAdmission<Kind extends string>(
  { name, concurrency, maxWaiting, maxWaitMs, maxAgeMs }: AdmissionLimits,
  kinds: readonly Kind[],
): Admission<Kind> {
  const backlog = createBacklog<Kind>({ slots: concurrency, now: () => performance.now() })
  const seats = new Map<Kind, Seats>(kinds.map((kind) => [kind, createSeats(maxWaiting)]))

  function seatsOf(kind: Kind): Seats {
    const known = seats.get(kind)
    if (known === undefined) throw new RangeError(`Unknown kind of request: ${kind}`)
    return known
  }

  function overloaded(waitMs: number): UnavailableError {
    const retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1000))
    // Without the places in the code, which nobody asks for: finding them took a tenth of the time of a refusal.
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

  function refusalOf(kind: Kind, client: string | undefined, costMs: number, patience: number) {
    const mostMs = backlog.waitMs(kind)
    if (seatsOf(kind).isFull(client)) return overloaded(mostMs)
    // Looking at each client takes a while, and no turn comes after all the others'.
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
      const onLeave = seatsOf(kind).take(client)
      return backlog.add({ kind, client: client ?? NO_CLIENT, costMs, onLeave })
    },
    takeSeat(kind, client) {
      if (seatsOf(kind).isFull(client)) throw overloaded(backlog.waitMs(kind))
      return seatsOf(kind).take(client)
    },
    patienceMs,
    overloaded: (kind) => overloaded(backlog.waitMs(kind)),
    begin: backlog.begin,
    expectedWaitMs: backlog.waitMs,
  }
}

/** A bounded number of seats for those who wait. */
export interface Seats {
  /** Whether there is none for this client. @param client Absent: of nobody in particular. */
  isFull(client?: string): boolean
  /** @returns Gives the seat back; a second call does nothing. */
  take(client?: string): () => void
  readonly taken: number
}

/**
 * A client may have as many seats as are left: a single greedy one gets half of them, two get a third each, and the next
 * client always finds some free. What belongs to no client is bounded by the total alone.
 *
 * @see Choudhury, Hahne: Dynamic Queue Length Thresholds for Shared-Memory Packet Switches, ToN 1998
 */
function createSeats(max: number): Seats {
  const byClient = new Map<string, number>()
  let taken = 0

  const ofClient = (client: string): number => byClient.get(client) ?? 0

  return {
    isFull: (client) => taken >= max || (client !== undefined && ofClient(client) >= max - taken),
    take(client) {
      taken += 1
      if (client !== undefined) byClient.set(client, ofClient(client) + 1)
      let isHeld = true
      return () => {
        if (!isHeld) return
        isHeld = false
        taken -= 1
        if (client === undefined) return
        const left = ofClient(client) - 1
        if (left > 0) byClient.set(client, left)
        else byClient.delete(client)
      }
    },
    get taken() {
      return taken
    },
  }
}
