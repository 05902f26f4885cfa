import { UnavailableError } from '../../errors.ts'

export interface TimeLimit {
  /** Aborts with the reason of the given signal, or with `late()` when the time is over. */
  readonly signal: AbortSignal
  /** Whether the time ended before the given signal aborted. */
  readonly isOver: boolean
  /** Stops the timer: the signal then aborts only with the given signal. */
  stop(): void
  /** The work is over: stops the timer, and no longer follows the given signal. Required if that outlives the work. */
  end(): void
}

/**
 * Follows a signal, and aborts by itself after a time, unless it is stopped. `AbortSignal.any` with `AbortSignal.timeout`
 * would do the same, but Node 24 keeps such a signal for good once another one is made of it, and the timer until its time.
 *
 * @param signal It is followed for as long as it lives, or until `end`.
 */
export function startTimeLimit(signal: AbortSignal, ms: number, late: () => Error): TimeLimit {
  const controller = new AbortController()
  const follow = () => controller.abort(signal.reason)
  let isOver = false
  const timer = setTimeout(() => {
    isOver = true
    controller.abort(late())
  }, ms)
  if (signal.aborted) follow()
  else signal.addEventListener('abort', follow, { once: true })
  return {
    signal: controller.signal,
    get isOver() {
      return isOver && !signal.aborted
    },
    stop: () => clearTimeout(timer),
    end() {
      clearTimeout(timer)
      signal.removeEventListener('abort', follow)
    },
  }
}

/** Upper bound of what a silent store adds to a request, the wait for a turn included; and the least time to respond. */
const FIRST_BYTE_MS = 4_800
const LEAST_FIRST_BYTE_MS = 500

/** The time that a store has to begin a response. The wait behind other responses of the same store is not counted. */
export interface FirstByteBudget {
  /** @param asked Time of the request, by the same clock. */
  withinMs(asked: number): number
  /** The store has begun a response. */
  answered(): void
}

/** @param now Milliseconds of a monotonic clock. */
export function createFirstByteBudget(now: () => number): FirstByteBudget {
  let answeredAt = -Infinity
  return {
    withinMs: (asked) => Math.max(LEAST_FIRST_BYTE_MS, FIRST_BYTE_MS - (now() - Math.max(asked, answeredAt))),
    answered() {
      answeredAt = now()
    },
  }
}

/** Opens an object, unless the store is silent for `withinMs`. @throws UnavailableError `store_unavailable` */
export async function openInTime<T>(
  open: (signal: AbortSignal) => Promise<T>,
  withinMs: number,
  signal: AbortSignal,
): Promise<T> {
  const limit = startTimeLimit(signal, withinMs, storeTooSlow)
  try {
    return await open(limit.signal)
  } finally {
    limit.stop()
  }
}

/** A call of the store exceeded its timeout. */
export function storeTooSlow(cause?: unknown): UnavailableError {
  return new UnavailableError('store_unavailable', 'The object store did not respond in time', { cause })
}
