import { RemoteError, ServiceError } from '../../errors.ts'

/** @param reason Continues the sentence "The broker …". */
export function brokerFailed(reason: string, cause?: unknown): RemoteError {
  return new RemoteError('remote_failed', `The broker ${reason}`, { cause })
}

/** Errors of sockets have codes, those of the handshake only the text of the broker. */
export function connectFailed(error: unknown): Error {
  if (error instanceof ServiceError) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
  if (code !== undefined && /CERT|TLS|SSL|SIGNED/.test(code)) {
    const remedy = 'NODE_EXTRA_CA_CERTS names a file with the certificate of your own authority'
    return brokerFailed(`has no valid TLS certificate (${code}); ${remedy}`, error)
  }
  if (code !== undefined) return brokerFailed(`cannot be reached (${code})`, error)
  const text = error instanceof Error ? error.message : String(error)
  return brokerFailed(`refused the login: ${text}; check user, password, and the virtual host in url`, error)
}
