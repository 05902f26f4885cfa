import { UnavailableError } from '../../errors.ts'
import type { CallOutcome, EndpointCalls } from '../../service/ports/calls.ts'
import { type CallGate, type CircuitBreaker, createCallGate, createCircuitBreaker } from '../calls/call-gate.ts'
import { createCallTally } from '../calls/call-tally.ts'
import { remoteFailed } from './remote-failure.ts'

/** A turn at an origin. Whoever has it says whether the origin answered, and calls `leave` in the end. */
export interface RemoteTurn {
  answered(): void
  /** It could not be reached, or was silent. */
  failed(): void
  leave(): void
}

export interface RemoteOrigins {
  /**
   * Waits for a place at the origin, then for one of all: so a slow origin takes up no more than its share.
   * @throws UnavailableError `overloaded`; RemoteError `remote_failed` at once while the origin is down; the signal's reason.
   */
  enter(origin: string, signal: AbortSignal): Promise<RemoteTurn>
  /** Of all origins. The circuit breaker is open if that of an origin is which was used within the last minute. */
  readonly calls: EndpointCalls
}

interface Entry {
  readonly gate: CallGate
  readonly breaker: CircuitBreaker
  users: number
  /** By `performance.now()`. */
  usedAt: number
}

const BREAKER = { failures: 5, probeEveryMs: 1000, now: () => performance.now() } as const
/** With an entry like `*.example.com` there can be any number of them. */
const MAX_REMEMBERED = 1000
/** For the metrics: an origin that is no longer used has no state. */
const RECENT_MS = 60_000

/** Bounds the calls, of each origin and of all, and spares origins that are down. One is scheme, host and port. */
export function createRemoteOrigins(limits: RemoteLimits): RemoteOrigins {
  const entries = new Map<string, Entry>()
  const createGate = (maxCalls: number): CallGate =>
    createCallGate({
      maxCalls,
      maxWaiting: limits.maxWaitingCalls,
      waitTimeoutMs: limits.waitTimeoutMs,
      longestWaitMs: limits.longestWaitMs,
      refusal: () => new UnavailableError('overloaded', 'Too many remote images are being fetched; try again'),
    })
  const all = createGate(limits.maxCalls)

  const entryOf = (origin: string): Entry => {
    const entry = entries.get(origin) ?? {
      gate: createGate(limits.maxCallsPerOrigin),
      breaker: createCircuitBreaker(BREAKER),
      users: 0,
      usedAt: 0,
    }
    entry.users += 1
    entry.usedAt = performance.now()
    // Anew, so that the map is in the order of last use.
    entries.delete(origin)
    entries.set(origin, entry)
    return entry
  }

  const release = (entry: Entry): void => {
    entry.users -= 1
    for (const [origin, { users }] of entries) {
      if (entries.size <= MAX_REMEMBERED) return
      if (users === 0) entries.delete(origin)
    }
  }

  const isFailing = ({ breaker, usedAt }: Entry): boolean => breaker.isOpen && performance.now() - usedAt < RECENT_MS
  const tally = createCallTally(() => [...entries.values()].some(isFailing))

  return {
    calls: tally.calls,
    async enter(origin, signal) {
      const entry = entryOf(origin)
      const leaves = [() => release(entry)]
      const leave = (): void => {
        for (const undo of leaves.splice(0)) undo()
      }
      try {
        leaves.push(await entry.gate.enter(signal))
        leaves.push(await all.enter(signal))
        if (!entry.breaker.allows()) {
          throw remoteFailed('failed repeatedly; requests to it resume in about one second')
        }
        let outcome: CallOutcome = 'canceled'
        leaves.push(() => tally.ended(outcome))
        return {
          answered() {
            entry.breaker.succeeded()
            outcome = 'ok'
          },
          failed() {
            entry.breaker.failed()
            outcome = 'unreachable'
          },
          leave,
        }
      } catch (error) {
        leave()
        tally.ended(signal.aborted ? 'canceled' : 'not_sent')
        throw error
      }
    },
  }
}

/** What fetching remote images may cost. */
export interface RemoteLimits {
  /** A name, with all servers and tries. */
  readonly dnsTimeoutMs: number
  /** One address, TLS included. Of a host with several, two are tried. */
  readonly connectTimeoutMs: number
  /** From the request to the end of the answer's headers. */
  readonly firstByteTimeoutMs: number
  /** Between two pieces of a body, while the reader takes them. */
  readonly stallTimeoutMs: number
  /** A whole fetch with its wait, its redirections and its body. */
  readonly totalTimeoutMs: number
  readonly maxRedirects: number
  /** At once, an unread body included; as many connections, and as many idle ones. */
  readonly maxCalls: number
  readonly maxCallsPerOrigin: number
  /** That may wait for their turn, at each of the two. Beyond it they fail at once. */
  readonly maxWaitingCalls: number
  /** While no call ends. */
  readonly waitTimeoutMs: number
  /** Whether calls end or not. */
  readonly longestWaitMs: number
}

export const REMOTE_LIMITS = {
  dnsTimeoutMs: 4000,
  connectTimeoutMs: 2000,
  firstByteTimeoutMs: 5000,
  stallTimeoutMs: 5000,
  totalTimeoutMs: 14_000,
  maxRedirects: 5,
  maxCalls: 64,
  maxCallsPerOrigin: 16,
  maxWaitingCalls: 1000,
  waitTimeoutMs: 3000,
  longestWaitMs: 10_000,
} as const satisfies RemoteLimits
