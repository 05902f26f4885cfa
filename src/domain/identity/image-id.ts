import { createHash } from 'node:crypto'
import { parseJson } from '../text/json-text.ts'

const HEX_DIGITS = 40
/** Matches an id, in JavaScript and in nginx.conf. */
export const IMAGE_ID_PATTERN = `[0-9a-f]{${HEX_DIGITS}}`
const IMAGE_ID = new RegExp(`^${IMAGE_ID_PATTERN}$`)

/**
 * The id of an original: the first 40 hex digits of the SHA-256 of its bytes, in lower case. The same bytes have the same
 * id everywhere, so whoever holds the bytes can check the name.
 *
 * @param sha256 Hex digest of the whole original.
 */
export function imageIdFromSha256(sha256: string): string {
  return sha256.slice(0, HEX_DIGITS).toLowerCase()
}

/** True for 40 lower-case hex digits. */
export function isImageId(text: string): boolean {
  return IMAGE_ID.test(text)
}

/**
 * Two levels of 256 folders in front of an id, so that millions of ids make no huge folder.
 * @example shardedId('3f2a…') // '3f/2a/3f2a…'
 * @example shardedId('v3f2a…') // '3f/2a/v3f2a…'
 */
export function shardedId(id: string): string {
  const hex = id.slice(-HEX_DIGITS)
  return `${hex.slice(0, 2)}/${hex.slice(2, 4)}/${id}`
}

/** What stands under `aliases/<sha1>`: our id of the image that a client may know by the SHA-1 of its bytes. */
export function formatAlias(id: string): string {
  return id
}

/** The inverse of `formatAlias`. @returns undefined for anything that is no alias. */
export function parseAlias(text: string): string | undefined {
  const id = text.trimEnd()
  return isImageId(id) ? id : undefined
}

/**
 * Name of an original that may change, whatever its version: `r` and 40 hex digits. It is what an invalidation names.
 * @see OriginalRef
 */
export function resourceId(ref: ObjectRef | RemoteRef): string {
  const parts = ref.kind === 'remote' ? [ref.url, ref.tag ?? ''] : [ref.bucket, ref.key, ref.versionId ?? '']
  return `r${digest([ref.kind, ...parts])}`
}

/**
 * Name of one version of such an original, which never changes: `v` and 40 hex digits. Renditions are kept under it as those
 * of an upload are under its id; having another letter in front, neither can be taken for the other.
 *
 * @param mark What tells this version from every other: an ETag, a hash of the bytes.
 */
export function versionId(resource: string, mark: string): string {
  return `v${digest([resource, mark])}`
}

/** The same for bytes that nobody may keep: they stay in memory while they are being looked at. `t` and 40 hex digits. */
export function transientId(resource: string, mark: string): string {
  return `t${digest([resource, mark])}`
}

/** True for a name of `resourceId`. */
export function isResourceId(id: string): boolean {
  return /^r[0-9a-f]{40}$/.test(id)
}

/** True for a name of `versionId` or `transientId`. */
export function isVersionId(id: string): boolean {
  return /^[vt][0-9a-f]{40}$/.test(id)
}

/** True for a name of `transientId`. */
export function isTransientId(id: string): boolean {
  return /^t[0-9a-f]{40}$/.test(id)
}

/** JSON keeps the parts apart, whatever is in them. */
function digest(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, HEX_DIGITS)
}

/** What a bucket told of an object, as a node keeps it for after its next start. */
export interface ObjectNotice {
  readonly etag: string
  readonly sizeBytes: number
  /** Ms since 1970. */
  readonly modifiedAt: number
  /** When the bucket told it, ms since 1970. */
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
 * Which original is meant:
 *
 * - `image`: one that was uploaded here. Its id is the hash of its bytes, so it never changes.
 * - `object`: one that was already in a configured bucket, under any key. It may change, unless a version of it is named.
 * - `remote`: one on an allowed host. It may change.
 */
export type OriginalRef = { readonly kind: 'image'; readonly id: string } | ObjectRef | RemoteRef

/** @see OriginalRef */
export interface ObjectRef {
  readonly kind: 'object'
  /** Alias of a configured bucket. */
  readonly bucket: string
  /** As the bucket has it, not encoded: 1 to 1,024 bytes of UTF-8. */
  readonly key: string
  /** As the bucket names its versions. */
  readonly versionId?: string
}

/** An original as somebody asks for it. */
export type AskedRef = Exclude<OriginalRef, RemoteRef> | AskedRemote

/** A remote image, and the client that asks for it: how many new ones it may add is bounded. */
export interface AskedRemote extends RemoteRef {
  /** By `clientNetwork`. It has no part in which image is meant. */
  readonly client: string
}

/** @see OriginalRef */
export interface RemoteRef {
  readonly kind: 'remote'
  /** Absolute, http or https, as the WHATWG's parser writes it; without credentials and fragment. */
  readonly url: string
  /** Letters and digits: another one is taken for another original, and fetched anew. */
  readonly tag?: string
}
