import { finished, type Readable, Transform } from 'node:stream'
import { UnavailableError } from '../../errors.ts'

export interface TimedBodySettings {
  /** Maximum wait for the next bytes, while the reader is not behind. Absent: no limit. */
  readonly stallTimeoutMs?: number
  /** Aborts the body, with its reason. */
  readonly signal: AbortSignal
  stalled(): Error
  /** Translates the error of the source. */
  failed(cause: unknown): Error
  /** Called for each chunk. @returns The error if there are too many bytes. */
  check?(seenBytes: number): Error | null
  /** Called after the last byte. @returns The error if the body is incomplete. */
  finish(seenBytes: number): Error | null
  /** Called once, when the last byte was read or the body was destroyed. @param error The error of the body. */
  readonly onClose?: (error: Error | undefined) => void
}

/** The bytes of `source` within limits. Destroying the result destroys `source`. */
export function timedBody(source: Readable, settings: TimedBodySettings): Readable {
  const { stallTimeoutMs, signal, onClose } = settings
  let seenBytes = 0
  const onAbort = (): void => void body.destroy(asError(signal.reason))
  const onStall = (): void => {
    // The reader is slow, not the sender; the deadline in `signal` limits that.
    if (body.readableLength > 0) stallTimer?.refresh()
    else body.destroy(settings.stalled())
  }
  const stallTimer = stallTimeoutMs === undefined ? undefined : setTimeout(onStall, stallTimeoutMs)
  const body = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      stallTimer?.refresh()
      seenBytes += chunk.length
      done(settings.check?.(seenBytes) ?? null, chunk)
    },
    flush(done) {
      clearTimeout(stallTimer)
      done(settings.finish(seenBytes))
    },
    destroy(error, done) {
      clearTimeout(stallTimer)
      signal.removeEventListener('abort', onAbort)
      source.destroy()
      onClose?.(error ?? undefined)
      done(error)
    },
  })
  // Without a listener, a failure before the reader attaches its own would end the process; the reader still gets it.
  body.on('error', () => {})
  // Not `pipeline`: it destroys the body with the untranslated error of the source.
  finished(source, (error) => {
    if (error) body.destroy(settings.failed(error))
  })
  source.pipe(body)
  if (signal.aborted) onAbort()
  else signal.addEventListener('abort', onAbort, { once: true })
  return body
}

export interface ObjectBodyLimits extends Pick<TimedBodySettings, 'stallTimeoutMs' | 'signal' | 'onClose'> {
  readonly sizeBytes: number
}

/**
 * The body of an object of the store, with checks of its length and pace. Fails with an `UnavailableError` when the
 * source fails, stalls or ends early, and with the signal's reason when that aborts.
 */
export function objectBody(source: Readable, { sizeBytes, ...limits }: ObjectBodyLimits): Readable {
  return timedBody(source, {
    ...limits,
    stalled: () => new UnavailableError('store_unavailable', 'The object store stopped sending an object'),
    failed: cutShort,
    check: (seen) => (seen > sizeBytes ? cutShort(new Error(`More than ${sizeBytes} bytes`)) : null),
    finish: (seen) => (seen === sizeBytes ? null : cutShort(new Error(`${seen} bytes instead of ${sizeBytes}`))),
  })
}

function cutShort(cause: unknown): UnavailableError {
  return new UnavailableError('store_unavailable', 'The object store sent an incomplete object', { cause })
}

/** A signal's reason as an error. */
export function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('Aborted', { cause: reason })
}

export interface Deadline {
  /** Aborts with the reason of the given signal, or with `late()` when the time is over. */
  readonly signal: AbortSignal
  /** Stops the timer and ignores the given signal. */
  stop(): void
}

/** Follows `signal`, and aborts by itself after `timeoutMs`. The caller stops it. */
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
