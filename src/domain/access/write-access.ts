import { createHash, timingSafeEqual } from 'node:crypto'
import { RequestError } from '../../errors.ts'

/** The tokens that allow writing, and reading what is not public. */
export interface WriteAccess {
  /** Empty: nobody may. */
  readonly tokens: readonly string[]
}

/** What needs a token, in the words of a refusal. */
const GUARDED = {
  upload: 'Uploading',
  deletion: 'Deletion',
  original: 'Access to originals',
  metadata: 'Access to private metadata (such as EXIF)',
  record: 'With SIZE_POLICY=signed, access to image records',
} as const
export type Guarded = keyof typeof GUARDED

const HOW_TO_SEND =
  'send "Authorization: Bearer <token>" with one of the node\'s UPLOAD_TOKENS, ' +
  'or, if UPLOAD_TOKENS is empty, with the token in the file upload-token in the folder of STORE'
/** For a message: how to make a node accept tokens. */
const HOW_TO_CONFIGURE = 'set UPLOAD_TOKENS, for example to the output of "openssl rand -hex 32"'

/**
 * @param authorization The header of that name.
 * @throws RequestError `token_required`; `tokens_not_configured` where no token could be right.
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

/** How a bucket's server may show its token: not all of them can send `Bearer`. */
export interface NotifyCredentials {
  /** `Bearer <token>`, or `Basic` of any name and the token as password. */
  readonly authorization?: string | undefined
  /** `?access_token=`, as in RFC 6750. */
  readonly inQuery?: string | undefined
}

/**
 * Whether a sender may tell that objects have changed.
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

/** What a person at the terminal needs for the first upload. */
export interface StartGreeting {
  /** Where the node listens, without a slash at the end. */
  readonly url: string
  /** Absolute path of the file that holds the token. */
  readonly tokenPath: string
  /** Absent: the link to the page is printed without it. */
  readonly token?: string
}

/** Text for standard error. The `curl` line reads the token from its file, so that the shell's history does not hold it. */
export function startGreeting({ url, tokenPath, token }: StartGreeting): string {
  const page = token === undefined ? `${url}/` : `${url}/#token=${encodeURIComponent(token)}`
  const authorization = `"Authorization: Bearer $(cat ${shellWord(tokenPath)})"`
  return `
Upload an image:
  curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' -H ${authorization} ${url}/images
or open in a browser:
  ${page}
Uploads, deletions and access to originals require the token in ${tokenPath}.

`
}

/** Quoted where a POSIX shell would split or expand it. */
function shellWord(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}

/** The settings that decide where a node's tokens come from. */
export interface TokenSettings {
  readonly UPLOAD_TOKENS: readonly string[]
  readonly STORE: string
  readonly ACCEL_PREFIX: string
  readonly HOST: string
}

export type TokenSource =
  | { readonly kind: 'settings'; readonly tokens: readonly string[] }
  /** The file `upload-token` in the embedded store's folder, made at the first start. */
  | { readonly kind: 'file'; readonly folder: string }
  /** The node serves only. */
  | { readonly kind: 'none'; readonly reason: string }

const FILE_SCHEME = 'file:'

/** A token is generated for a trial on one machine only: an operator of anything larger chooses who may write. */
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

/** For the log and `/readyz`. @param why There is no token, as a clause. */
export function servesOnly(why: string): string {
  return (
    `This node is read-only: UPLOAD_TOKENS is empty, and ${why}. ` +
    `Uploads, deletions, and access to originals and private metadata are refused (403). To enable them, ${HOW_TO_CONFIGURE}`
  )
}

/** True for the names and addresses that only this machine reaches. */
export function isLoopback(name: string): boolean {
  return name === 'localhost' || name === '::1' || /^127(?:\.\d{1,3}){3}$/.test(name)
}
