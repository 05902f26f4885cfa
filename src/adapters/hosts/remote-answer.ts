import { finished, type Readable } from 'node:stream'
import { formatByteAmount } from '../../domain/text/byte-amount.ts'
import { OriginalError } from '../../errors.ts'
import { asError, timedBody } from '../calls/timed-body.ts'
import type { RemoteExchange } from './remote-exchange.ts'
import { codeOf, remoteFailed, toRemoteFailure } from './remote-failure.ts'
import type { RemoteHeaders } from './remote-freshness.ts'

export interface OpenImageSettings {
  /** The limit that undici keeps, for the message. */
  readonly maxBytes: number
  readonly stallTimeoutMs: number
  /** Ends the body, with its reason. */
  readonly signal: AbortSignal
  /** Called when the body was read or destroyed; not if this throws. */
  readonly onClose: () => void
}

/**
 * The body of an answer that has an image, as far as its headers say. Takes the exchange over, and ends it.
 *
 * @throws OriginalError `original_not_found`, `original_too_large`; RemoteError `remote_failed`
 */
export function openImage(exchange: RemoteExchange, settings: OpenImageSettings): Readable {
  const refusal = refusalOf(exchange, settings.maxBytes)
  if (refusal !== undefined) {
    dropAnswer(exchange)
    throw refusal
  }
  const { maxBytes, onClose, ...limits } = settings
  let isWhole = false
  return timedBody(exchange.body, {
    ...limits,
    stalled: () => remoteFailed('stopped sending its response'),
    failed(cause) {
      const isTooLarge = codeOf(cause) === 'UND_ERR_RES_EXCEEDED_MAX_SIZE'
      return isTooLarge ? remoteTooLarge(maxBytes) : asError(toRemoteFailure(cause))
    },
    finish() {
      isWhole = !exchange.isOverlong()
      return isWhole ? null : remoteFailed('sent a body that does not match its Content-Length')
    },
    onClose(error) {
      exchange.end(isWhole && error === undefined)
      onClose()
    },
  })
}

/** Closes the connection: reading a body that nobody wants has no end that one could rely on. */
export function dropAnswer({ body, end }: RemoteExchange): void {
  body.destroy()
  end(false)
}

/** For an answer that has no body by its status. */
export function keepWithoutBody({ body, end }: RemoteExchange): void {
  finished(body, (error) => end(error === undefined || error === null))
  body.resume()
}

function refusalOf({ status, headers }: RemoteExchange, maxBytes: number): Error | undefined {
  if (status === 404 || status === 410)
    return new OriginalError('original_not_found', 'The remote host has no image at this URL')
  if (status !== 200) return remoteFailed(`responded with status ${status}`)
  // Asked for it as it is: what comes packed may be of any size when it is unpacked.
  if (!isPlain(headers)) return remoteFailed('sent an encoded body, although the request accepts only identity')
  const length = headers['content-length']
  return typeof length === 'string' && Number(length) > maxBytes ? remoteTooLarge(maxBytes) : undefined
}

function isPlain(headers: RemoteHeaders): boolean {
  const { 'content-encoding': encoding = 'identity', 'transfer-encoding': transfer = 'chunked' } = headers
  return isWord(encoding, 'identity') && isWord(transfer, 'chunked')
}

function isWord(value: string | string[], word: string): boolean {
  return typeof value === 'string' && value.trim().toLowerCase() === word
}

function remoteTooLarge(maxBytes: number): OriginalError {
  const limit = formatByteAmount(maxBytes)
  return new OriginalError(
    'original_too_large',
    `The remote image has more than ${limit}, the limit (MAX_UPLOAD_BYTES)`,
  )
}
