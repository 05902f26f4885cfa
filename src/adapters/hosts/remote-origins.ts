import { UnavailableError } from '../../errors.ts'
import type { CallOutcome, EndpointCalls } from '../../service/ports/meter.ts'
import {
  type CallGate,
  type CircuitBreaker,
  createCallGate,
  createCallTally,
  createCircuitBreaker,
} from '../calls/call-gate.ts'
import { remoteFailed } from './remote-socket.ts'

/** A turn at an origin. Its user reports whether the origin responded, and calls `leave` at the end. */
export interface RemoteTurn {
  answered(): void
  /** The origin was unreachable or silent. */
  failed(): void
  leave(): void
}

export interface RemoteOrigins {
  /**
   * Waits for a place at the origin, then for one of the total: so a slow origin takes at most its share.
   * @throws UnavailableError `overloaded`; RemoteError `remote_failed` at once while the origin is down; the signal's
   *   reason.
   */
  enter(origin: string, signal: AbortSignal): Promise<RemoteTurn>
  /** Of all origins. The circuit breaker is open if that of any origin used within the last minute is. */
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
/** An entry like `*.example.com` allows any number of origins. */
const MAX_REMEMBERED = 1000
/** For the metrics: an origin that is no longer used is not counted. */
const RECENT_MS = 60_000

/**
 * Limits the calls to each origin and in total, with a circuit breaker for each. An origin is scheme, host and port.
 */
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
    // Inserted again, so that the map is in the order of last use.
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

/** Limits for fetching remote images. */
export interface RemoteLimits {
  /** Looking up a name, with all servers and attempts. */
  readonly dnsTimeoutMs: number
  /** Connecting to one address, including TLS. Two addresses of a host are tried. */
  readonly connectTimeoutMs: number
  /** From the request to the end of the response headers. */
  readonly firstByteTimeoutMs: number
  /** Between two chunks of a body, while the reader is not behind. */
  readonly stallTimeoutMs: number
  /** A whole fetch with its wait, its redirects and its body. */
  readonly totalTimeoutMs: number
  readonly maxRedirects: number
  /** Concurrent fetches, including unread bodies; also the maximum of connections, and of idle ones. */
  readonly maxCalls: number
  readonly maxCallsPerOrigin: number
  /** Waiting fetches, for each of the two limits. Others fail at once. */
  readonly maxWaitingCalls: number
  /** Maximum wait while no call ends. */
  readonly waitTimeoutMs: number
  /** Maximum wait in any case. */
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
