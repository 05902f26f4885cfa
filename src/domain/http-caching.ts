/** What a client says of the copy that it has, as sent. */
export interface ConditionalHeaders {
  readonly ifNoneMatch?: string | undefined
  readonly ifModifiedSince?: string | undefined
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

/**
 * True if the client's copy is the current one. `If-Modified-Since` counts only alone and only for the very date, as in
 * nginx: a date that is merely later may come from another pipeline's file.
 */
export function isNotModified(headers: ConditionalHeaders, { etag, lastModified }: Validators): boolean {
  const { ifNoneMatch, ifModifiedSince } = headers
  if (ifNoneMatch === undefined) return ifModifiedSince === lastModified
  return ifNoneMatch.trim() === '*' || ifNoneMatch.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag)
}

/** Bytes `start` to `end`, both included. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/**
 * The part of an answer that is asked for. Several ranges at once are answered with the whole, and so is a range whose
 * `If-Range` names other bytes.
 *
 * @returns undefined for the whole, `unsatisfiable` if the range begins beyond the end.
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-14
 */
export function selectRange(
  { range, ifRange }: ConditionalHeaders,
  { etag, lastModified }: Validators,
  sizeBytes: number,
): ByteRange | 'unsatisfiable' | undefined {
  const { first, last } = /^bytes=\s*(?<first>\d*)\s*-\s*(?<last>\d*)\s*$/i.exec(range ?? '')?.groups ?? {}
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined
  if (ifRange !== undefined && ifRange !== etag && ifRange !== lastModified) return undefined
  if (first === '') {
    const length = Math.min(Number(last), sizeBytes)
    return length === 0 ? 'unsatisfiable' : { start: sizeBytes - length, end: sizeBytes - 1 }
  }
  const start = Number(first)
  const end = last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1)
  if (last !== '' && Number(last) < start) return undefined
  return start >= sizeBytes ? 'unsatisfiable' : { start, end }
}
