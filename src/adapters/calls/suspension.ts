/**
 * Decides that reads avoid an endpoint that leaves a share of them without a response, as with one frozen disk of several.
 * Other reads succeed, so the circuit breaker, which counts failures in a row, does not open.
 */
export interface Suspension {
  called(): void
  /** A call had no response in time. @param key Of its object; a probe reads it. */
  silent(key: string): void
  /** A probe had a response. */
  resume(): void
  readonly isSuspended: boolean
  /** Of the last object without a response. */
  readonly key: string | undefined
}

export interface SuspensionSettings {
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
}

const WINDOW_MS = 5000
const FEWEST_SILENT = 3
const SILENT_SHARE = 0.1

export function createSuspension({ now }: SuspensionSettings): Suspension {
  let isSuspended = false
  let key: string | undefined
  let window = { endsAt: -Infinity, calls: 0, silent: 0 }

  const current = () => {
    if (now() >= window.endsAt) window = { endsAt: now() + WINDOW_MS, calls: 0, silent: 0 }
    return window
  }

  return {
    called() {
      current().calls += 1
    },
    silent(silentKey) {
      key = silentKey
      const counted = current()
      counted.silent += 1
      // A call of the window before may be silent in this one.
      isSuspended ||= counted.silent >= FEWEST_SILENT && counted.silent >= counted.calls * SILENT_SHARE
    },
    resume() {
      isSuspended = false
      window = { endsAt: -Infinity, calls: 0, silent: 0 }
    },
    get isSuspended() {
      return isSuspended
    },
    get key() {
      return key
    },
  }
}
