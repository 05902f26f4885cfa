import { createHash, timingSafeEqual } from 'node:crypto'
import { RequestError } from '../errors.ts'

/** Who may write: holders of a token; without any configured, only this very machine by itself. */
export interface WriteAccess {
  readonly tokens: readonly string[]
}

/** What a request says of where it comes from. */
export interface Caller {
  readonly authorization?: string | undefined
  /** Address of the other end of the connection. */
  readonly peer?: string | undefined
  readonly host?: string | undefined
  readonly origin?: string | undefined
  /** True if a `Forwarded` or `X-Forwarded-*` header is there: then the peer is a proxy and says nothing. */
  readonly forwarded: boolean
}

/**
 * Tokens are compared by their hashes, in constant time. Without tokens, `Host` and `Origin` are checked as well, so that a
 * page from elsewhere, or a name that was rebound to this machine, cannot write through a developer's browser.
 *
 * @throws RequestError `token_required`
 */
export function assertMayWrite(caller: Caller, { tokens }: WriteAccess): void {
  if (mayWrite(caller, { tokens })) return
  const how =
    tokens.length === 0
      ? 'this node has no tokens, so it takes them from its own machine only'
      : 'send "Authorization: Bearer <token>"'
  throw new RequestError('token_required', `Uploads, deletions and originals need a token: ${how}`)
}

/** The same as a question. */
export function mayWrite(caller: Caller, { tokens }: WriteAccess): boolean {
  return tokens.length === 0 ? isLocal(caller) : holdsToken(caller.authorization, tokens)
}

function holdsToken(authorization: string | undefined, tokens: readonly string[]): boolean {
  const given = /^Bearer +(?<token>\S+) *$/i.exec(authorization ?? '')?.groups?.['token']
  if (given === undefined) return false
  const digest = sha256(given)
  return tokens.map((token) => timingSafeEqual(sha256(token), digest)).includes(true)
}

function isLocal({ peer, host, origin, forwarded }: Caller): boolean {
  if (forwarded || !isLoopback(peer?.replace(/^::ffff:/, '') ?? '')) return false
  if (!isLoopback(hostName(host ?? ''))) return false
  return origin === undefined || origin === `http://${host}`
}

function hostName(host: string): string {
  return host
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase()
}

/** True for the names and addresses that only this machine reaches. */
export function isLoopback(name: string): boolean {
  return name === 'localhost' || name === '::1' || /^127(?:\.\d{1,3}){3}$/.test(name)
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
