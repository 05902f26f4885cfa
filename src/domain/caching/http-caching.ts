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
