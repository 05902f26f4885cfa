import { errors } from 'undici'
import { RemoteError, ServiceError } from '../../errors.ts'

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
export function toRemoteFailure(error: unknown): unknown {
  const code = codeOf(error)
  if (error instanceof ServiceError) return error
  // Most parser errors have no code.
  if (error instanceof errors.HTTPParserError) return remoteFailed('sent a malformed HTTP response', error)
  if (code === undefined) return error
  const reason = REASONS.get(code) ?? FAMILIES.find(([pattern]) => pattern.test(code))?.[1]
  return reason === undefined ? error : remoteFailed(reason, error)
}

/** @param reason Continues the sentence "The remote host …". */
export function remoteFailed(reason: string, cause?: unknown): RemoteError {
  return new RemoteError('remote_failed', `The remote host ${reason}`, { cause })
}

/** Whether the other end closed the connection without a response. */
export function isDropped(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE'
}

export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
