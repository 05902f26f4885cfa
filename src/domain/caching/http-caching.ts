import { isTransientId } from '../identity/image-id.ts'

/** The conditional headers of a request, as sent. */
export interface ConditionalHeaders {
  readonly ifMatch?: string | undefined
  readonly ifNoneMatch?: string | undefined
  readonly ifModifiedSince?: string | undefined
  readonly ifUnmodifiedSince?: string | undefined
  readonly ifRange?: string | undefined
  readonly range?: string | undefined
}

/** Identify the bytes of a response. All nodes return the same values, and so does nginx for the file. */
export interface Validators {
  /** Quoted, strong. */
  readonly etag: string
  /** An HTTP date. */
  readonly lastModified: string
}

const YEAR_SECONDS = 31_536_000

/** The validators that nginx sends for a static file. @param mtimeSeconds Whole seconds since 1970. */
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

/** Whether the client requires a version of the picture that is not the current one. */
export function isPreconditionFailed(headers: ConditionalHeaders, { etag, lastModified }: Validators): boolean {
  const { ifMatch, ifUnmodifiedSince } = headers
  if (ifUnmodifiedSince !== undefined && !(Date.parse(ifUnmodifiedSince) >= Date.parse(lastModified))) return true
  return ifMatch !== undefined && !listsTag(ifMatch, etag)
}

/**
 * Whether the client's copy is current. As in nginx, `If-Modified-Since` must be exactly the date of the file, since a
 * later date may belong to the file of another pipeline; together with `If-None-Match` both must match.
 */
export function isNotModified(headers: ConditionalHeaders, { etag, lastModified }: Validators): boolean {
  const { ifNoneMatch, ifModifiedSince } = headers
  if (ifNoneMatch === undefined && ifModifiedSince === undefined) return false
  if (ifModifiedSince !== undefined && ifModifiedSince !== lastModified) return false
  return ifNoneMatch === undefined || listsTag(ifNoneMatch, etag, /^W\//)
}

/** @param ignored A prefix of tags to ignore. */
function listsTag(list: string, etag: string, ignored = /^/): boolean {
  return list.trim() === '*' || list.split(',').some((tag) => tag.trim().replace(ignored, '') === etag)
}

/** Bytes `start` to `end`, both included. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/**
 * The requested part of a response. Multiple ranges are answered with the whole, and so is a range whose `If-Range`
 * does not match. Malformed ranges are handled as nginx does: a unit other than bytes is ignored, empty ranges are left
 * out, and anything else is unsatisfiable.
 *
 * @returns undefined for the whole, `unsatisfiable` if no range contains a byte.
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

/** @returns undefined if it is malformed; an empty range ends before it starts. */
function parseRange(text: string, sizeBytes: number): ByteRange | undefined {
  const { first = '', last = '' } = /^ *(?<first>\d*) *- *(?<last>\d*) *$/.exec(text)?.groups ?? {}
  if ((first === '' && last === '') || Math.max(Number(first), Number(last)) > Number.MAX_SAFE_INTEGER) return undefined
  if (first === '') return { start: Math.max(0, sizeBytes - Number(last)), end: sizeBytes - 1 }
  return { start: Number(first), end: last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1) }
}

/**
 * Policy for a browser that opens a response as a page: an SVG keeps its own styles, and nothing else is loaded or
 * executed.
 */
const CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"

/**
 * Headers of every picture, from nginx and from this process. A response with `X-Accel-Redirect` omits them: nginx adds
 * its own, which `npm run docs` writes into nginx.conf.
 */
export const PICTURE_HEADERS = {
  'Access-Control-Allow-Origin': '*',
  'Cross-Origin-Resource-Policy': 'cross-origin',
  'Timing-Allow-Origin': '*',
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': CONTENT_SECURITY_POLICY,
} as const

/**
 * Headers of every error, from nginx and from this process. The app allows caches to keep some errors for a short time.
 */
export const ERROR_HEADERS = {
  'Cache-Control': 'no-store',
  'Access-Control-Allow-Origin': '*',
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': CONTENT_SECURITY_POLICY,
} as const

export interface PictureCaching {
  readonly cacheControl: string
  readonly validators: Validators
  /** Age, whole seconds; absent: the picture never changes. */
  readonly ageSeconds?: number
}

export interface PictureFile {
  readonly mtimeSeconds: number
  readonly sizeBytes: number
}

/** The version of an original that may change. */
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
    // Most answers leave them to nginx.
    get validators() {
      return fileValidators(mtimeSeconds, sizeBytes)
    },
  }
}

/**
 * The ETag contains the version: two versions of an original may have files of the same size, and all files have the
 * same mtime.
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

/** How long the known version of an original may be used, in whole seconds. */
export interface Freshness {
  /** Since the last check; within this time no check is made. */
  readonly freshSeconds: number
  /** After that: the stale version is served while a check runs (stale-while-revalidate). */
  readonly staleWhileRevalidateSeconds: number
  /** After the fresh time: the stale version is served while checks fail (stale-if-error). */
  readonly staleIfErrorSeconds: number
}

/** `fresh`: no check. `stale`: served while a check runs. `old`: served only if the check fails. */
export type Age = 'fresh' | 'stale' | 'old' | 'expired'

/** @param ageSeconds Negative after a clock was set back: then the version is unknown. */
export function judgeAge(ageSeconds: number, freshness: Freshness): Age {
  const { freshSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds } = freshness
  if (ageSeconds < 0) return 'old'
  if (ageSeconds < freshSeconds) return 'fresh'
  if (ageSeconds < freshSeconds + staleWhileRevalidateSeconds) return 'stale'
  return ageSeconds < freshSeconds + staleIfErrorSeconds ? 'old' : 'expired'
}

/** The same for downstream caches, to be sent with an `Age`. */
function formatFreshness(freshness: Freshness): string {
  const { freshSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds } = freshness
  const more = [
    staleWhileRevalidateSeconds > 0 && `stale-while-revalidate=${staleWhileRevalidateSeconds}`,
    staleIfErrorSeconds > 0 && `stale-if-error=${staleIfErrorSeconds}`,
  ]
  return ['public', `max-age=${freshSeconds}`, ...more.filter((directive) => directive !== false)].join(', ')
}
