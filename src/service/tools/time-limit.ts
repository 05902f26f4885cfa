export interface TimeLimit {
  /** Aborts with the reason of the signal that was given, or in time with `late()`. */
  readonly signal: AbortSignal
  readonly isOver: boolean
  /** From then on it aborts with the given signal only. */
  stop(): void
}

/**
 * Follows a signal, and aborts by itself after a time, unless it is stopped. `AbortSignal.any` with `AbortSignal.timeout`
 * would do the same, but Node 24 keeps such a signal for good once another one is made of it, and the timer until its time.
 *
 * @param signal Of one flight or request, as it is followed for as long as it lives.
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
  }
}
