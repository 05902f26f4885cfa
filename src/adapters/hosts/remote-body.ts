import { finished, type Readable, Transform } from 'node:stream'
import { formatByteAmount } from '../../domain/text/byte-amount.ts'
import { OriginalError } from '../../errors.ts'
import { codeOf, remoteFailed, toRemoteFailure } from './remote-failure.ts'

export interface RemoteBodyLimits {
  /** The limit that undici keeps, for the message. */
  readonly maxBytes: number
  /** Longest wait for the next bytes, while the reader has taken all that came. */
  readonly stallTimeoutMs: number
  /** Ends the body, with its reason. */
  readonly signal: AbortSignal
  /** Asked after the last byte: whether the host sent more than belongs to its answer. */
  readonly isOverlong: () => boolean
  /** Called once. @param isWhole The last byte was read, and all was as it should be. */
  readonly onClose: (isWhole: boolean) => void
}

/**
 * The bytes of `source`. Fails with OriginalError `original_too_large`, with a RemoteError when the source fails,
 * and with the signal's reason. Destroying the result destroys `source`.
 */
export function remoteBody(source: Readable, limits: RemoteBodyLimits): Readable {
  const { maxBytes, stallTimeoutMs, signal, isOverlong, onClose } = limits
  let isWhole = false
  const onAbort = (): void => void body.destroy(asError(signal.reason))
  const onStall = (): void => {
    // Waiting for a slow reader is not the host's fault; the deadline in `signal` ends that.
    if (body.readableLength > 0) stallTimer.refresh()
    else body.destroy(remoteFailed('stopped sending its response'))
  }
  const stallTimer = setTimeout(onStall, stallTimeoutMs)
  const body = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      stallTimer.refresh()
      done(null, chunk)
    },
    flush(done) {
      clearTimeout(stallTimer)
      isWhole = !isOverlong()
      done(isWhole ? null : remoteFailed('sent a body that does not match its Content-Length'))
    },
    destroy(error, done) {
      clearTimeout(stallTimer)
      signal.removeEventListener('abort', onAbort)
      source.destroy()
      onClose(isWhole && error === null)
      done(error)
    },
  })
  // Without a listener a failure before the reader has attached its own would end the process; the reader still gets it.
  body.on('error', () => {})
  // Not `pipeline`: it destroys the body with the source's error as it is, which has another name here.
  finished(source, (error) => {
    if (!error) return
    const isTooLarge = codeOf(error) === 'UND_ERR_RES_EXCEEDED_MAX_SIZE'
    body.destroy(asError(isTooLarge ? remoteTooLarge(maxBytes) : toRemoteFailure(error)))
  })
  source.pipe(body)
  if (signal.aborted) onAbort()
  else signal.addEventListener('abort', onAbort, { once: true })
  return body
}

export function remoteTooLarge(maxBytes: number): OriginalError {
  const limit = formatByteAmount(maxBytes)
  return new OriginalError(
    'original_too_large',
    `The remote image has more than ${limit}, the limit (MAX_UPLOAD_BYTES)`,
  )
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('Aborted', { cause: reason })
}
