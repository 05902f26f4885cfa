import { createHash } from 'node:crypto'
import type { RequestError } from '../../errors.ts'
import { parseJson } from '../text/json-text.ts'
import { invalidPath } from '../text/path-text.ts'

const HEX_DIGITS = 40
/** Characters of a wrong id that its error repeats. */
const MOST_QUOTED = 60
/** Matches an id, in JavaScript and in nginx.conf. */
export const IMAGE_ID_PATTERN = `[0-9a-f]{${HEX_DIGITS}}`
const IMAGE_ID = new RegExp(`^${IMAGE_ID_PATTERN}$`)

/**
 * The id of an original: the first 40 hex digits of the SHA-256 of its bytes, in lower case. The same bytes have the
 * same id everywhere.
 *
 * @param sha256 Hex digest of the whole original.
 */
export function imageIdFromSha256(sha256: string): string {
  return sha256.slice(0, HEX_DIGITS).toLowerCase()
}

/** Whether the text consists of 40 lower-case hex digits. */
export function isImageId(text: string): boolean {
  return IMAGE_ID.test(text)
}

/** The error for a text in the place of an id, which it quotes. @param text Decoded. */
export function invalidImageId(text: string): RequestError {
  const rule = `an id has ${HEX_DIGITS} hexadecimal digits, and is the field "id" of the response to an upload`
  return invalidPath(
    text === '' ? `The image id is missing: ${rule}` : `"${shortened(text)}" is not an image id: ${rule}`,
  )
}

function shortened(text: string): string {
  return text.length <= MOST_QUOTED ? text : `${text.slice(0, MOST_QUOTED)}…`
}

/**
 * The id below two levels of 256 folders, so that millions of ids do not share one folder.
 * @example shardedId('3f2a…') // '3f/2a/3f2a…'
 * @example shardedId('v3f2a…') // '3f/2a/v3f2a…'
 */
export function shardedId(id: string): string {
  const hex = id.slice(-HEX_DIGITS)
  return `${hex.slice(0, 2)}/${hex.slice(2, 4)}/${id}`
}

/** Content of `aliases/<sha1>`: the id of the image whose bytes have this SHA-1. */
export function formatAlias(id: string): string {
  return id
}

/** The inverse of `formatAlias`. @returns undefined if the text is not an alias. */
export function parseAlias(text: string): string | undefined {
  const id = text.trimEnd()
  return isImageId(id) ? id : undefined
}

/**
 * Name of an original that may change, independent of its version: `r` and 40 hex digits. Invalidations use it.
 * @see OriginalRef
 */
export function resourceId(ref: ObjectRef | RemoteRef): string {
  const parts = ref.kind === 'remote' ? [ref.url, ref.tag ?? ''] : [ref.bucket, ref.key, ref.versionId ?? '']
  return `r${digest([ref.kind, ...parts])}`
}

/**
 * Name of one version of such an original, which never changes: `v` and 40 hex digits. Renditions are stored under it,
 * as those of an upload are under its id; the prefix keeps the two apart.
 *
 * @param mark Identifies the version: an ETag, or a hash of the bytes.
 */
export function versionId(resource: string, mark: string): string {
  return `v${digest([resource, mark])}`
}

/**
 * The same for bytes that must not be stored (`no-store`): they stay in memory during the request. `t` and 40 hex
 * digits.
 */
export function transientId(resource: string, mark: string): string {
  return `t${digest([resource, mark])}`
}

/** Whether the name is one of `resourceId`. */
export function isResourceId(id: string): boolean {
  return /^r[0-9a-f]{40}$/.test(id)
}

/** Whether the name is one of `versionId` or `transientId`. */
export function isVersionId(id: string): boolean {
  return /^[vt][0-9a-f]{40}$/.test(id)
}

/** Whether the name is one of `transientId`. */
export function isTransientId(id: string): boolean {
  return /^t[0-9a-f]{40}$/.test(id)
}

/** JSON separates the parts, whatever characters they contain. */
function digest(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, HEX_DIGITS)
}

/** The metadata of an object, as stored for the next start of the node. */
export interface ObjectNotice {
  readonly etag: string
  readonly sizeBytes: number
  /** Ms since 1970. */
  readonly modifiedAt: number
  /** Time of the check, ms since 1970. */
  readonly checkedAt: number
  /** Lower-case hex. */
  readonly md5?: string
}

export function formatObjectNotice(notice: ObjectNotice): string {
  return JSON.stringify(notice)
}

/** The inverse of `formatObjectNotice`. @returns undefined for anything else. */
export function parseObjectNotice(text: string): ObjectNotice | undefined {
  const value = parseJson(text)
  return isNotice(value) ? value : undefined
}

function isNotice(value: unknown): value is ObjectNotice {
  if (typeof value !== 'object' || value === null) return false
  const field = (name: string): unknown => Reflect.get(value, name)
  const md5 = field('md5')
  const counts = [field('sizeBytes'), field('modifiedAt'), field('checkedAt')]
  return (
    typeof field('etag') === 'string' &&
    (md5 === undefined || typeof md5 === 'string') &&
    counts.every((count) => Number.isSafeInteger(count) && Number(count) >= 0)
  )
}

/**
 * Identifies an original:
 *
 * - `image`: an upload. Its id is the hash of its bytes, so it never changes.
 * - `object`: an object in a configured bucket. It may change, unless its version is given.
 * - `remote`: an image on an allowed host. It may change.
 */
export type OriginalRef = { readonly kind: 'image'; readonly id: string } | ObjectRef | RemoteRef

/** @see OriginalRef */
export interface ObjectRef {
  readonly kind: 'object'
  /** Alias of a configured bucket. */
  readonly bucket: string
  /** Not encoded: 1 to 1,024 bytes of UTF-8. */
  readonly key: string
  /** Version id of the bucket. */
  readonly versionId?: string
}

/** An original as requested by a client. */
export type AskedRef = Exclude<OriginalRef, RemoteRef> | AskedRemote

/** A remote image with the client that requests it: each client may add a limited number of new ones. */
export interface AskedRemote extends RemoteRef {
  /** By `clientNetwork`. It does not identify the image. */
  readonly client: string
}

/** @see OriginalRef */
export interface RemoteRef {
  readonly kind: 'remote'
  /** Absolute, http or https, as serialized by the WHATWG URL parser; without credentials and fragment. */
  readonly url: string
  /** Letters and digits: another tag makes another original, which is fetched again. */
  readonly tag?: string
}
