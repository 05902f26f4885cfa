import { UnavailableError } from '../../errors.ts'
import { startTimeLimit } from '../tools/time-limit.ts'

/** What a silent store may cost a viewer, the wait for a turn included; and the least that it gets to begin its answer. */
const FIRST_BYTE_MS = 4_800
const LEAST_FIRST_BYTE_MS = 500

/** How long a store has to begin its answer. The wait behind a store that does answer is not counted against it. */
export interface FirstByteBudget {
  /** @param asked When the viewer asked, by the same clock. */
  withinMs(asked: number): number
  /** The store has begun an answer just now. */
  answered(): void
}

/** @param now Milliseconds of a clock that never goes back. */
export function createFirstByteBudget(now: () => number): FirstByteBudget {
  let answeredAt = -Infinity
  return {
    withinMs: (asked) => Math.max(LEAST_FIRST_BYTE_MS, FIRST_BYTE_MS - (now() - Math.max(asked, answeredAt))),
    answered() {
      answeredAt = now()
    },
  }
}

/** Opens an object, unless the store is silent for too long. @throws UnavailableError `store_unavailable` */
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

/** A call of the store that took longer than it may. */
export function storeTooSlow(cause?: unknown): UnavailableError {
  return new UnavailableError('store_unavailable', 'The object store did not respond in time', { cause })
}
