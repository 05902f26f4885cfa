import { UnavailableError } from '../../errors.ts'
import type { CallOutcome, EndpointCalls } from '../../service/ports/meter.ts'

export interface CallGate {
  /**
   * Waits for one of the places.
   * @returns Gives the place back; a second call has no effect.
   * @throws {UnavailableError} At once if too many calls wait, if no call has ended for a while, or after the maximum
   *   wait.
   */
  enter(signal: AbortSignal): Promise<() => void>
}

export interface CallGateSettings {
  readonly maxCalls: number
  readonly maxWaiting: number
  /** A wait ends if no call has ended for this time: the dependency does not respond. */
  readonly waitTimeoutMs: number
  /** Maximum wait. Default: until the caller's signal aborts. */
  readonly longestWaitMs?: number
  /** The error if too many calls wait. Default: `store_unavailable`. */
  readonly refusal?: () => UnavailableError
}

/**
 * Limits the concurrent calls of a dependency, the waiting calls, and their wait while it does not respond; in order of
 * arrival.
 */
export function createCallGate(settings: CallGateSettings): CallGate {
  const { maxCalls, maxWaiting, waitTimeoutMs, longestWaitMs = Infinity, refusal = tooMany } = settings
  let running = 0
  /** Time of the last end of a call, by `performance.now()`. */
  let endedAt = -Infinity
  const waiting = new Set<() => void>()

  const place = (): (() => void) => {
    let held = true
    return () => {
      if (!held) return
      held = false
      running -= 1
      endedAt = performance.now()
      const [next] = waiting
      next?.()
    }
  }

  return {
    enter(signal) {
      if (signal.aborted) return Promise.reject(signal.reason)
      if (running < maxCalls) {
        running += 1
        return Promise.resolve(place())
      }
      if (waiting.size >= maxWaiting) {
        return Promise.reject(refusal())
      }
      const { promise, resolve, reject } = Promise.withResolvers<() => void>()
      const leave = (): void => {
        clearTimeout(timer)
        waiting.delete(admit)
        signal.removeEventListener('abort', onAbort)
      }
      const onAbort = (): void => {
        leave()
        reject(signal.reason)
      }
      const admit = (): void => {
        leave()
        running += 1
        resolve(place())
      }
      const since = performance.now()
      const look = (): void => {
        const lastMs = Math.min(Math.max(since, endedAt) + waitTimeoutMs, since + longestWaitMs)
        const leftMs = lastMs - performance.now()
        if (leftMs > 0) {
          timer = setTimeout(look, leftMs)
          return
        }
        leave()
        reject(refusal())
      }
      let timer = setTimeout(look, waitTimeoutMs)
      waiting.add(admit)
      signal.addEventListener('abort', onAbort, { once: true })
      return promise
    },
  }
}

function tooMany(): UnavailableError {
  return new UnavailableError('store_unavailable', 'Too many requests are waiting for the object store')
}

export interface CircuitBreakerSettings {
  /** Consecutive failures that open the breaker. */
  readonly failures: number
  /** Interval of probes while it is open. */
  readonly probeEveryMs: number
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
}

export interface CircuitBreaker {
  /** False: refuse the call at once. While the breaker is open, true admits a probe: so call it once for each call. */
  allows(): boolean
  /** Whether calls are refused, except for probes. */
  readonly isOpen: boolean
  succeeded(): void
  failed(): void
}

/**
 * A circuit breaker. Probes are timed by the clock and do not wait for each other: a probe that hangs does not delay
 * the recovery.
 */
export function createCircuitBreaker({ failures, probeEveryMs, now }: CircuitBreakerSettings): CircuitBreaker {
  let inARow = 0
  let nextProbeAt = 0
  return {
    allows() {
      if (inARow < failures) return true
      if (now() < nextProbeAt) return false
      nextProbeAt = now() + probeEveryMs
      return true
    },
    get isOpen() {
      return inARow >= failures
    },
    succeeded() {
      inARow = 0
    },
    failed() {
      inARow += 1
      if (inARow === failures) nextProbeAt = now() + probeEveryMs
    },
  }
}

export interface RetryBudgetSettings {
  /** Retries added by each first attempt. */
  readonly perCall: number
  /** Retries added by time, so that retries are possible under low traffic. */
  readonly perSecond: number
  /** Maximum of accumulated retries, and their initial number. */
  readonly most: number
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
}

/** The retries to an endpoint, shared by all callers. */
export interface RetryBudget {
  /** Counts a first attempt. */
  called(): void
  /** Takes a retry. False: the budget is empty. */
  take(): boolean
  /** Accumulated retries as a share of their maximum. */
  readonly fill: number
}

/**
 * A token bucket. While everything fails, retries add at most their share to the load; an occasional failure always has
 * a retry.
 */
export function createRetryBudget({ perCall, perSecond, most, now }: RetryBudgetSettings): RetryBudget {
  let left = most
  let seenAt = now()

  function add(retries: number): void {
    left = Math.min(most, left + retries)
  }

  return {
    called: () => add(perCall),
    take() {
      add(((now() - seenAt) / 1000) * perSecond)
      seenAt = now()
      if (left < 1) return false
      left -= 1
      return true
    },
    get fill() {
      return left / most
    },
  }
}

export interface CallTally {
  readonly calls: EndpointCalls
  /** To be called once for each call. */
  ended(outcome: CallOutcome): void
}

/** Counts the calls to an endpoint. */
export function createCallTally(isBreakerOpen: () => boolean): CallTally {
  const outcomes: Record<CallOutcome, number> = {
    ok: 0,
    unreachable: 0,
    timeout: 0,
    busy: 0,
    denied: 0,
    full: 0,
    invalid: 0,
    not_sent: 0,
    canceled: 0,
  }
  return {
    calls: {
      outcomes,
      get isBreakerOpen() {
        return isBreakerOpen()
      },
    },
    ended(outcome) {
      outcomes[outcome] += 1
    },
  }
}
