import { isTransientId, type OriginalRef } from '../identity/image-id.ts'
import { encodeKey } from '../url/picture-url.ts'

/** What a client says of the copy that it has, as sent. */
export interface ConditionalHeaders {
  readonly ifMatch?: string | undefined
  readonly ifNoneMatch?: string | undefined
  readonly ifModifiedSince?: string | undefined
  readonly ifUnmodifiedSince?: string | undefined
  readonly ifRange?: string | undefined
  readonly range?: string | undefined
}

/** Names the bytes of an answer. All nodes, and nginx from the file itself, give the same. */
export interface Validators {
  /** Quoted, strong. */
  readonly etag: string
  /** An HTTP date. */
  readonly lastModified: string
}

const YEAR_SECONDS = 31_536_000

/** The validators that nginx gives a static file. @param mtimeSeconds Whole seconds since 1970. */
export function fileValidators(mtimeSeconds: number, sizeBytes: number): Validators {
  return {
    etag: `"${mtimeSeconds.toString(16)}-${sizeBytes.toString(16)}"`,
    lastModified: new Date(mtimeSeconds * 1000).toUTCString(),
  }
}

/**
 * `Cache-Control` of a rendition: it never changes, but a signed URL must not outlive its expiry in a cache.
 * @param expiresInSeconds Of the signature; absent: no expiry.
 */
export function renditionCacheControl(expiresInSeconds?: number): string {
  if (expiresInSeconds === undefined) return `public, max-age=${YEAR_SECONDS}, immutable`
  return `public, max-age=${Math.max(0, Math.min(YEAR_SECONDS, Math.floor(expiresInSeconds)))}`
}

/** True if the client wants the answer only if the picture is still the one that it knows, and it is another. */
export function isPreconditionFailed(headers: ConditionalHeaders, { etag, lastModified }: Validators): boolean {
  const { ifMatch, ifUnmodifiedSince } = headers
  if (ifUnmodifiedSince !== undefined && !(Date.parse(ifUnmodifiedSince) >= Date.parse(lastModified))) return true
  return ifMatch !== undefined && !listsTag(ifMatch, etag)
}

/**
 * True if the client's copy is the current one. As in nginx, `If-Modified-Since` counts only for the very date, since a
 * date that is merely later may come from another pipeline's file; and with `If-None-Match` beside it both must hold,
 * which costs a client whose two headers disagree the bytes and nothing else.
 */
export function isNotModified(headers: ConditionalHeaders, { etag, lastModified }: Validators): boolean {
  const { ifNoneMatch, ifModifiedSince } = headers
  if (ifNoneMatch === undefined && ifModifiedSince === undefined) return false
  if (ifModifiedSince !== undefined && ifModifiedSince !== lastModified) return false
  return ifNoneMatch === undefined || listsTag(ifNoneMatch, etag, /^W\//)
}

/** @param ignored What a tag of the list may begin with besides. */
function listsTag(list: string, etag: string, ignored = /^/): boolean {
  return list.trim() === '*' || list.split(',').some((tag) => tag.trim().replace(ignored, '') === etag)
}

/** Bytes `start` to `end`, both included. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/**
 * The part of an answer that is asked for. Several ranges at once are answered with the whole, and so is a range whose
 * `If-Range` names other bytes. What is no range is taken as nginx takes it: a unit other than bytes is ignored, ranges
 * that hold no byte are left out, and anything else that is not well-formed is unsatisfiable.
 *
 * @returns undefined for the whole, `unsatisfiable` if no range holds a byte.
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-14
 */
export function selectRange(
  { range = '', ifRange }: ConditionalHeaders,
  { etag, lastModified }: Validators,
  sizeBytes: number,
): ByteRange | 'unsatisfiable' | undefined {
  const list = /^bytes=(?<list>.+)$/i.exec(range)?.groups?.['list']
  if (list === undefined || (ifRange !== undefined && ifRange !== etag && ifRange !== lastModified)) return undefined
  const parts: ByteRange[] = []
  for (const text of list.split(',')) {
    const part = parseRange(text, sizeBytes)
    if (part === undefined) return 'unsatisfiable'
    if (part.start <= part.end) parts.push(part)
    if (parts.length > 1) return undefined
  }
  return parts[0] ?? 'unsatisfiable'
}

/** @returns undefined for what is not well-formed; a range that holds no byte ends before it starts. */
function parseRange(text: string, sizeBytes: number): ByteRange | undefined {
  const { first = '', last = '' } = /^ *(?<first>\d*) *- *(?<last>\d*) *$/.exec(text)?.groups ?? {}
  if ((first === '' && last === '') || Math.max(Number(first), Number(last)) > Number.MAX_SAFE_INTEGER) return undefined
  if (first === '') return { start: Math.max(0, sizeBytes - Number(last)), end: sizeBytes - 1 }
  return { start: Number(first), end: last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1) }
}

/** What a browser may do that opens an answer as a page: a drawing keeps its own styles, and nothing else is loaded or run. */
const CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"

/**
 * Headers of every picture, from nginx and from this process alike. A response with `X-Accel-Redirect` leaves them out: nginx adds
 * its own, which `npm run docs` writes into nginx.conf.
 */
export const PICTURE_HEADERS = {
  'Access-Control-Allow-Origin': '*',
  'Cross-Origin-Resource-Policy': 'cross-origin',
  'Timing-Allow-Origin': '*',
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': CONTENT_SECURITY_POLICY,
} as const

/** Headers of every error, from nginx and from this process alike. The app lets caches keep some errors for a while. */
export const ERROR_HEADERS = {
  'Cache-Control': 'no-store',
  'Access-Control-Allow-Origin': '*',
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': CONTENT_SECURITY_POLICY,
} as const

/** What an answer with a picture says to caches. */
export interface PictureCaching {
  readonly cacheControl: string
  readonly validators: Validators
  /** Of that time, how much is over. Whole seconds; absent: the picture never changes. */
  readonly ageSeconds?: number
}

/** The file that is sent. */
export interface PictureFile {
  readonly mtimeSeconds: number
  readonly sizeBytes: number
}

/** The version of the original that it was made of, where the original may change. */
export interface PictureVersion {
  readonly id: string
  readonly modifiedAt?: Date
  /** Ms since 1970. */
  readonly checkedAt: number
  readonly freshness: Freshness
  readonly isFixed: boolean
}

/** @param expiresInSeconds Of the signature; absent: no expiry. */
export function uploadCaching({ mtimeSeconds, sizeBytes }: PictureFile, expiresInSeconds?: number): PictureCaching {
  return {
    cacheControl: renditionCacheControl(expiresInSeconds),
    validators: fileValidators(mtimeSeconds, sizeBytes),
  }
}

/**
 * Two versions of an original may give files of one size, and all files have the same mtime: so the ETag names the version.
 * @param now Ms since 1970.
 */
export function versionCaching(
  file: PictureFile,
  version: PictureVersion,
  now: number,
  expiresInSeconds?: number,
): PictureCaching {
  const { modifiedAt, checkedAt, freshness, isFixed } = version
  const { etag } = fileValidators(file.mtimeSeconds, file.sizeBytes)
  const changedAt = Math.max(file.mtimeSeconds * 1000, modifiedAt?.getTime() ?? 0)
  const validators = {
    etag: `${etag.slice(0, -1)}-${version.id.slice(1, 17)}"`,
    lastModified: new Date(changedAt).toUTCString(),
  }
  if (isTransientId(version.id)) return { cacheControl: 'no-store', validators }
  if (isFixed) return { cacheControl: renditionCacheControl(expiresInSeconds), validators }
  const ageSeconds = Math.max(0, Math.floor((now - checkedAt) / 1000))
  if (expiresInSeconds === undefined) return { cacheControl: formatFreshness(freshness), validators, ageSeconds }
  const maxAge = Math.max(0, Math.min(freshness.freshSeconds, Math.floor(expiresInSeconds) + ageSeconds))
  return { cacheControl: `public, max-age=${maxAge}`, validators, ageSeconds }
}

/** Content delivery networks take tags of about so many characters. */
const MAX_TAG_LENGTH = 1000

/**
 * `Cache-Tag` of everything that is made of an original: by it a content delivery network purges all its sizes at once. An
 * object also has the tag of its bucket, a remote image that of its host.
 */
export function cacheTag(original: OriginalRef): string {
  if (original.kind === 'image') return original.id
  const { group, tag } =
    original.kind === 'object'
      ? { group: original.bucket, tag: `${original.bucket}/${encodeKey(original.key)}` }
      : { group: new URL(original.url).hostname, tag: original.url.replaceAll(',', '%2C') }
  return tag.length > MAX_TAG_LENGTH ? group : `${group},${tag}`
}

/** How long what was learned of an original may be used. Whole seconds. */
export interface Freshness {
  /** Since it was learned; within it nobody is asked. */
  readonly freshSeconds: number
  /** After that: while it is being asked, for those who come meanwhile. */
  readonly staleWhileRevalidateSeconds: number
  /** After the fresh time: while whoever could tell does not answer. */
  readonly staleIfErrorSeconds: number
}

/** `fresh`: nobody is asked. `stale`: good for whoever comes now, while it is being asked. `old`: only if nobody answers. */
export type Age = 'fresh' | 'stale' | 'old' | 'expired'

/** @param ageSeconds Negative when a clock was set back: then nothing is known. */
export function judgeAge(ageSeconds: number, freshness: Freshness): Age {
  const { freshSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds } = freshness
  if (ageSeconds < 0) return 'old'
  if (ageSeconds < freshSeconds) return 'fresh'
  if (ageSeconds < freshSeconds + staleWhileRevalidateSeconds) return 'stale'
  return ageSeconds < freshSeconds + staleIfErrorSeconds ? 'old' : 'expired'
}

/** The same for caches behind us, beside an `Age` that says how much of it is over. */
function formatFreshness(freshness: Freshness): string {
  const { freshSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds } = freshness
  const more = [
    staleWhileRevalidateSeconds > 0 && `stale-while-revalidate=${staleWhileRevalidateSeconds}`,
    staleIfErrorSeconds > 0 && `stale-if-error=${staleIfErrorSeconds}`,
  ]
  return ['public', `max-age=${freshSeconds}`, ...more.filter((directive) => directive !== false)].join(', ')
}
