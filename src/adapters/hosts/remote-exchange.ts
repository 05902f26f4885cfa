import { finished, type Readable } from 'node:stream'
import { errors } from 'undici'
import { formatByteAmount } from '../../domain/text/byte-amount.ts'
import { OriginalError, RemoteError, ServiceError } from '../../errors.ts'
import { asError, timedBody } from '../calls/timed-body.ts'
import type { RemoteConnections } from './remote-connections.ts'
import type { RemoteHeaders } from './remote-freshness.ts'
import type { RemoteOrigins } from './remote-origins.ts'
import { codeOf, remoteFailed } from './remote-socket.ts'

/** A request and its response, with any status. Its user calls `end` once. */
export interface RemoteExchange {
  readonly status: number
  readonly headers: RemoteHeaders
  readonly body: Readable
  /** Whether unexpected bytes followed the body. Valid after the body was read. */
  isOverlong(): boolean
  /**
   * Gives the place back. @param isWhole Whether the body was read to its end, so that the connection can be reused.
   */
  end(isWhole: boolean): void
}

export interface RemoteExchangeSettings {
  readonly connections: RemoteConnections
  readonly origins: RemoteOrigins
}

export type AskRemote = (
  url: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
) => Promise<RemoteExchange>

/**
 * Sends a GET request. If a kept connection has been closed meanwhile, a new one is made.
 *
 * Throws the errors of undici, translated by `toRemoteFailure`, those of connecting, and the signal's reason.
 */
export function createRemoteExchange({ connections, origins }: RemoteExchangeSettings): AskRemote {
  return async (url, headers, signal) => {
    const { origin, pathname, search } = new URL(url)
    const request = { path: `${pathname}${search}`, headers }
    const turn = await origins.enter(origin, signal)
    for (let fresh = false; ; fresh = true) {
      const connection = connections.take(origin, fresh)
      try {
        const { statusCode, headers: answered, body } = await connection.get(request, signal)
        turn.answered()
        return {
          status: statusCode,
          headers: answered,
          body,
          isOverlong: () => connection.isOverlong(),
          end(isWhole) {
            if (isWhole) connection.keep()
            else connection.end()
            turn.leave()
          },
        }
      } catch (error) {
        connection.end()
        if (connection.isUsed && isDropped(error) && !signal.aborted) continue
        const failure: unknown = signal.aborted ? signal.reason : toRemoteFailure(error)
        if (failure instanceof RemoteError) turn.failed()
        turn.leave()
        throw failure
      }
    }
  }
}

export interface OpenImageSettings {
  /** The limit that undici enforces, for the message. */
  readonly maxBytes: number
  readonly stallTimeoutMs: number
  /** Ends the body, with its reason. */
  readonly signal: AbortSignal
  /** Called when the body was read or destroyed; not if this function throws. */
  readonly onClose: () => void
}

/**
 * The body of a response that is an image by its headers. Owns the exchange and ends it.
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

/** Closes the connection: reading the rest of the body could take any time. */
export function dropAnswer({ body, end }: RemoteExchange): void {
  body.destroy()
  end(false)
}

/** For a status without a body. */
export function keepWithoutBody({ body, end }: RemoteExchange): void {
  finished(body, (error) => end(error === undefined || error === null))
  body.resume()
}

function refusalOf({ status, headers }: RemoteExchange, maxBytes: number): Error | undefined {
  if (status === 404 || status === 410)
    return new OriginalError('original_not_found', 'The remote host has no image at this URL')
  if (status !== 200) return remoteFailed(`responded with status ${status}`)
  // Compression was not accepted: a compressed body may have any size.
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

// Codes of sockets, c-ares, TLS and undici.
const REASONS = new Map<string, string>([
  ['ECONNREFUSED', 'refused the connection'],
  ['ECONNRESET', 'closed the connection'],
  ['EPIPE', 'closed the connection'],
  ['UND_ERR_SOCKET', 'closed the connection'],
  ['EHOSTUNREACH', 'is unreachable'],
  ['ENETUNREACH', 'is unreachable'],
  ['EADDRNOTAVAIL', 'is unreachable'],
  ['ETIMEDOUT', 'is unreachable'],
  ['UND_ERR_HEADERS_OVERFLOW', 'sent response headers that are too large'],
  ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'sent a body that does not match its Content-Length'],
])

const FAMILIES = [
  [/^(?:ERR_SSL_|ERR_TLS_|EPROTO$)/, 'caused a TLS protocol error'],
  [/^(?:E[A-Z]+|UND_ERR_(?!INVALID_ARG$).+)$/, 'failed'],
] as const

/**
 * Translates the error of a request by its code. A `ServiceError`, and an error without a code, which is a bug, are
 * returned as they are.
 */
function toRemoteFailure(error: unknown): unknown {
  const code = codeOf(error)
  if (error instanceof ServiceError) return error
  // Most parser errors have no code.
  if (error instanceof errors.HTTPParserError) return remoteFailed('sent a malformed HTTP response', error)
  if (code === undefined) return error
  const reason = REASONS.get(code) ?? FAMILIES.find(([pattern]) => pattern.test(code))?.[1]
  return reason === undefined ? error : remoteFailed(reason, error)
}

/** Whether the other end closed the connection without a response. */
function isDropped(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE'
}
