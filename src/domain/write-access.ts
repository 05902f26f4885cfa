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

/** How a bucket's server may show its token: not all of them can send `Bearer`. */
export interface NotifyCredentials {
  /** `Bearer <token>`, or `Basic` of any name and the token as password. */
  readonly authorization?: string | undefined
  /** `?access_token=`, as in RFC 6750. */
  readonly inQuery?: string | undefined
}

/**
 * Who may tell that objects have changed. Unlike for writing there is no exception for this very machine: a bucket's server
 * is elsewhere.
 *
 * @throws RequestError `token_required`
 */
export function assertMayNotify({ authorization, inQuery }: NotifyCredentials, tokens: readonly string[]): void {
  if (tokens.length === 0) {
    throw new RequestError('token_required', 'This node takes no events, because no EVENT_TOKENS are set')
  }
  if (holdsToken(authorization, tokens) || isAmong(basicPassword(authorization), tokens) || isAmong(inQuery, tokens)) {
    return
  }
  const how = '"Authorization: Bearer <token>", Basic with the token as password, or ?access_token=<token>'
  throw new RequestError('token_required', `Events need a token: send ${how}`)
}

function holdsToken(authorization: string | undefined, tokens: readonly string[]): boolean {
  return isAmong(/^Bearer +(?<token>\S+) *$/i.exec(authorization ?? '')?.groups?.['token'], tokens)
}

function basicPassword(authorization: string | undefined): string | undefined {
  const encoded = /^Basic +(?<encoded>\S+) *$/i.exec(authorization ?? '')?.groups?.['encoded']
  const pair = Buffer.from(encoded ?? '', 'base64').toString()
  const colon = pair.indexOf(':')
  return colon < 0 ? undefined : pair.slice(colon + 1)
}

function isAmong(given: string | undefined, tokens: readonly string[]): boolean {
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
