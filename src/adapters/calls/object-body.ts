import { finished, type Readable, Transform } from 'node:stream'
import { UnavailableError } from '../../errors.ts'

export interface ObjectBodyLimits {
  readonly sizeBytes: number
  /** Longest wait for the next bytes, while the reader has taken all that came. Absent: no limit. */
  readonly stallTimeoutMs?: number
  /** Ends the body, with its reason. */
  readonly signal: AbortSignal
  /** Called once, when the last byte was read or the body was destroyed; with what it failed by, if it did. */
  readonly onClose?: (error: Error | undefined) => void
}

/**
 * The bytes of `source`, held to their length and pace. Fails with an `UnavailableError` when the source fails, stalls or
 * ends early, and with the signal's reason when that aborts. Destroying the result destroys `source`.
 */
export function objectBody(
  source: Readable,
  { sizeBytes, stallTimeoutMs, signal, onClose }: ObjectBodyLimits,
): Readable {
  let seenBytes = 0
  const onAbort = (): void => void body.destroy(asError(signal.reason))
  const onStall = (): void => {
    // Waiting for a slow reader is not the store's fault; the deadline in `signal` ends that.
    if (body.readableLength > 0) stallTimer?.refresh()
    else body.destroy(new UnavailableError('store_unavailable', 'The object store stopped sending an object'))
  }
  const stallTimer = stallTimeoutMs === undefined ? undefined : setTimeout(onStall, stallTimeoutMs)
  const body = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      stallTimer?.refresh()
      seenBytes += chunk.length
      done(seenBytes > sizeBytes ? cutShort(new Error(`More than ${sizeBytes} bytes`)) : null, chunk)
    },
    flush(done) {
      clearTimeout(stallTimer)
      done(seenBytes === sizeBytes ? null : cutShort(new Error(`${seenBytes} bytes instead of ${sizeBytes}`)))
    },
    destroy(error, done) {
      clearTimeout(stallTimer)
      signal.removeEventListener('abort', onAbort)
      source.destroy()
      onClose?.(error ?? undefined)
      done(error)
    },
  })
  // Without a listener a failure before the reader has attached its own would end the process; the reader still gets it.
  body.on('error', () => {})
  // Not `pipeline`: it destroys the body with the source's error, and a reader who comes later is given that one.
  finished(source, (error) => {
    if (error) body.destroy(cutShort(error))
  })
  source.pipe(body)
  if (signal.aborted) onAbort()
  else signal.addEventListener('abort', onAbort, { once: true })
  return body
}

function cutShort(cause: unknown): UnavailableError {
  return new UnavailableError('store_unavailable', 'The object store sent an incomplete object', { cause })
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('Aborted', { cause: reason })
}
