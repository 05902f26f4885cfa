import { errors } from 'undici'
import { RemoteError, ServiceError } from '../errors.ts'

// Of sockets, c-ares, TLS and undici.
const REASONS = new Map<string, string>([
  ['ECONNREFUSED', 'refuses connections'],
  ['ECONNRESET', 'broke the connection off'],
  ['EPIPE', 'broke the connection off'],
  ['UND_ERR_SOCKET', 'broke the connection off'],
  ['EHOSTUNREACH', 'cannot be reached'],
  ['ENETUNREACH', 'cannot be reached'],
  ['EADDRNOTAVAIL', 'cannot be reached'],
  ['ETIMEDOUT', 'cannot be reached'],
  ['UND_ERR_HEADERS_OVERFLOW', 'sends too many headers'],
  ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'sent another number of bytes than it said'],
])

const FAMILIES = [
  [/^(?:ERR_SSL_|ERR_TLS_|EPROTO$)/, 'does not speak TLS as it should'],
  [/^(?:E[A-Z]+|UND_ERR_(?!INVALID_ARG$).+)$/, 'failed'],
] as const

/**
 * Names a failed request by its code. What has a name already is passed on, and so is what has no code: that is a bug.
 */
export function toRemoteFailure(error: unknown): unknown {
  const code = codeOf(error)
  if (error instanceof ServiceError) return error
  // Most of them have no code.
  if (error instanceof errors.HTTPParserError) return remoteFailed('does not speak HTTP as it should', error)
  if (code === undefined) return error
  const reason = REASONS.get(code) ?? FAMILIES.find(([pattern]) => pattern.test(code))?.[1]
  return reason === undefined ? error : remoteFailed(reason, error)
}

/** @param reason Goes on after "The remote host". */
export function remoteFailed(reason: string, cause?: unknown): RemoteError {
  return new RemoteError('remote_failed', `The remote host ${reason}`, { cause })
}

/** True if the other end closed the connection without a word. */
export function isDropped(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE'
}

export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
