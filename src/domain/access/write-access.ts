import { createHash, timingSafeEqual } from 'node:crypto'
import { RequestError } from '../../errors.ts'

/** The tokens that allow writing, and reading what is not public. */
export interface WriteAccess {
  /** Empty: writing is disabled. */
  readonly tokens: readonly string[]
}

/** Operations that need a token, as named in error messages. */
const GUARDED = {
  upload: 'Uploading',
  deletion: 'Deletion',
  purge: 'Purging',
  original: 'Access to originals',
  metadata: 'Access to private metadata (such as EXIF)',
  events: 'Access to the feed of events',
  rejection: 'Reporting a rejected file',
  list: 'Listing images',
  nodes: 'Listing nodes',
  record: 'With SIZE_POLICY=signed, access to image records',
} as const
export type Guarded = keyof typeof GUARDED

const HOW_TO_SEND =
  'send "Authorization: Bearer <token>" with one of the node\'s UPLOAD_TOKENS, ' +
  'or, if UPLOAD_TOKENS is empty, with the token in the file upload-token in the folder of STORE'
/** For a message: how to make a node accept tokens. */
const HOW_TO_CONFIGURE = 'set UPLOAD_TOKENS, for example to the output of "openssl rand -hex 32"'

/**
 * @param authorization The header `Authorization`.
 * @throws RequestError `token_required`; `tokens_not_configured`
 */
export function assertHoldsToken(wanted: Guarded, authorization: string | undefined, access: WriteAccess): void {
  assertTokensConfigured(wanted, access)
  if (holdsToken(authorization, access)) return
  throw new RequestError(
    'token_required',
    `${mistakeIn(authorization)}${GUARDED[wanted]} requires a token: ${HOW_TO_SEND}`,
  )
}

function mistakeIn(authorization: string | undefined): string {
  if (authorization === undefined) return ''
  const hasToken = bearerToken(authorization) !== undefined
  return hasToken ? 'Invalid token. ' : 'The Authorization header is not "Bearer <token>". '
}

/** @throws RequestError `tokens_not_configured` */
export function assertTokensConfigured(wanted: Guarded, { tokens }: WriteAccess): void {
  if (tokens.length > 0) return
  throw new RequestError(
    'tokens_not_configured',
    `${GUARDED[wanted]} requires a token, and no tokens are configured on this node: ${HOW_TO_CONFIGURE}`,
  )
}

/** Tokens are compared by their hashes, in constant time. */
export function holdsToken(authorization: string | undefined, { tokens }: WriteAccess): boolean {
  return isAmong(bearerToken(authorization), tokens)
}

/** Ways to send the token of a bucket notification: not all servers support `Bearer`. */
export interface NotifyCredentials {
  /** `Bearer <token>`, or `Basic` with any name and the token as the password. */
  readonly authorization?: string | undefined
  /** `?access_token=`, as in RFC 6750. */
  readonly inQuery?: string | undefined
}

/**
 * Checks the token of a bucket notification.
 *
 * @throws RequestError `token_required`
 */
export function assertMayNotify({ authorization, inQuery }: NotifyCredentials, tokens: readonly string[]): void {
  if (tokens.length === 0) {
    throw new RequestError('token_required', 'Events are disabled: set EVENT_TOKENS to enable them')
  }
  const given = [bearerToken(authorization), basicPassword(authorization), inQuery]
  if (given.some((token) => isAmong(token, tokens))) return
  const how = '"Authorization: Bearer <token>", Basic with the token as password, or ?access_token=<token>'
  throw new RequestError('token_required', `Events require a token: send ${how}`)
}

function bearerToken(authorization: string | undefined): string | undefined {
  return /^Bearer +(?<token>\S+) *$/i.exec(authorization ?? '')?.groups?.['token']
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

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** Values for the greeting at the first start. */
export interface StartGreeting {
  /** URL of the node, without a trailing slash. */
  readonly url: string
  /** Absolute path of the file with the token. */
  readonly tokenPath: string
  /** Whether the node serves the page (HOME_PAGE). */
  readonly hasPage: boolean
  /** Absent: the link to the page is printed without it. */
  readonly token?: string
}

/**
 * Text for standard error. The `curl` line reads the token from its file, so that it is not saved in the shell history.
 */
export function startGreeting({ url, tokenPath, hasPage, token }: StartGreeting): string {
  const page = token === undefined ? `${url}/` : `${url}/#token=${encodeURIComponent(token)}`
  const authorization = `"Authorization: Bearer $(cat ${shellWord(tokenPath)})"`
  return `
Upload an image:
  curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' -H ${authorization} ${url}/images
${hasPage ? `or open in a browser:\n  ${page}\n` : ''}Uploads, deletions and access to originals require the token in ${tokenPath}.

`
}

/** Quoted where a POSIX shell would split or expand it. */
function shellWord(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}

/** The settings that determine the source of a node's tokens. */
export interface TokenSettings {
  readonly UPLOAD_TOKENS: readonly string[]
  readonly STORE: string
  readonly ACCEL_PREFIX: string
  readonly HOST: string
}

export type TokenSource =
  | { readonly kind: 'settings'; readonly tokens: readonly string[] }
  /** The file `upload-token` in the folder of the embedded store, made at the first start. */
  | { readonly kind: 'file'; readonly folder: string }
  /** The node is read-only. */
  | { readonly kind: 'none'; readonly reason: string }

const FILE_SCHEME = 'file:'

/** A token is generated only for a single machine: in a larger setup the operator decides about write access. */
export function tokenSource({ UPLOAD_TOKENS: tokens, STORE, ACCEL_PREFIX, HOST }: TokenSettings): TokenSource {
  if (tokens.length > 0) return { kind: 'settings', tokens }
  const obstacles = [
    ...(STORE.startsWith(FILE_SCHEME) ? [] : ['STORE is an S3 bucket']),
    ...(ACCEL_PREFIX === '' ? [] : ['ACCEL_PREFIX is set']),
    ...(isLoopback(HOST) ? [] : ['HOST is not a loopback address']),
  ]
  if (obstacles.length === 0) return { kind: 'file', folder: STORE.slice(FILE_SCHEME.length) }
  const listed = obstacles.join(', ').replace(/, (?=[^,]*$)/, ' and ')
  return { kind: 'none', reason: servesOnly(`no token is generated because ${listed}`) }
}

/** For the log and `/readyz`. @param why Reason why there is no token, as a clause. */
export function servesOnly(why: string): string {
  return (
    `This node is read-only: UPLOAD_TOKENS is empty, and ${why}. ` +
    `Uploads, deletions, and access to originals and private metadata are refused (403). To enable them, ${HOW_TO_CONFIGURE}`
  )
}

/** Whether only this machine can reach the name or address. */
export function isLoopback(name: string): boolean {
  return name === 'localhost' || name === '::1' || /^127(?:\.\d{1,3}){3}$/.test(name)
}
