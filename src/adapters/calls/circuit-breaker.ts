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
