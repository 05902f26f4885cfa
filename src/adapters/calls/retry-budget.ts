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
