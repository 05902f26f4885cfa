export interface Deadline {
  /** Aborts with the reason of the signal that was given, or in time with `late()`. */
  readonly signal: AbortSignal
  /** From then on it never aborts. */
  stop(): void
}

/** Follows `signal`, and aborts by itself in `timeoutMs`. The caller stops it. */
export function startDeadline(signal: AbortSignal, timeoutMs: number, late: () => Error): Deadline {
  const controller = new AbortController()
  const onAbort = (): void => controller.abort(signal.reason)
  const timer = setTimeout(() => controller.abort(late()), timeoutMs)
  if (signal.aborted) onAbort()
  else signal.addEventListener('abort', onAbort, { once: true })
  return {
    signal: controller.signal,
    stop() {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
    },
  }
}
