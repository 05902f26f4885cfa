import { UnavailableError } from '../../errors.ts'

export interface CallGate {
  /**
   * Waits for one of the places.
   * @returns Gives the place back; a second call does nothing.
   * @throws {UnavailableError} At once if too many wait already, when no call has ended for a while, or after the longest wait.
   */
  enter(signal: AbortSignal): Promise<() => void>
}

export interface CallGateSettings {
  readonly maxCalls: number
  readonly maxWaiting: number
  /** A wait ends if no call has ended for so long: the dependency does not answer. */
  readonly waitTimeoutMs: number
  /** A wait ends after so long in any case. Default: the caller's signal ends it. */
  readonly longestWaitMs?: number
  /** What is thrown where too many wait. Absent: `store_unavailable`. */
  readonly refusal?: () => UnavailableError
}

/**
 * Bounds how many calls of a dependency run at once, how many wait for their turn, and how long they wait for one that does not
 * answer; in order of arrival.
 */
export function createCallGate(settings: CallGateSettings): CallGate {
  const { maxCalls, maxWaiting, waitTimeoutMs, longestWaitMs = Infinity, refusal = tooMany } = settings
  let running = 0
  /** When a call has ended last, by `performance.now()`. */
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
  /** Failures in a row after which calls are refused. */
  readonly failures: number
  /** While calls are refused, one is let through as a probe this often. */
  readonly probeEveryMs: number
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number
}

export interface CircuitBreaker {
  /** False: refuse the call at once. Asking while refusing may take the turn of the probe, so ask once for each call. */
  allows(): boolean
  /** Calls are refused, but for the probes. */
  readonly isOpen: boolean
  succeeded(): void
  failed(): void
}

/**
 * Spares a dependency that is down, and its callers the wait. Probes go by the clock, and none waits for the one before:
 * a probe that hangs does not delay the recovery.
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
  /** Retries that each first try pays for. */
  readonly perCall: number
  /** Retries that come by themselves with time, so that where little is asked something may still be asked again. */
  readonly perSecond: number
  /** The most that are saved up; as many are there at the beginning. */
  readonly most: number
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number
}

/** How often an endpoint may be asked again, whoever it is that asks. */
export interface RetryBudget {
  /** Something is asked for the first time. */
  called(): void
  /** Takes a retry. False: there is none left, so what has failed has failed. */
  take(): boolean
}

/**
 * A token bucket. While everything fails, retries add no more than their share to the load that is there anyway; a failure
 * now and then always has one.
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
  }
}
