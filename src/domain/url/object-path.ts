import type { ObjectRef } from '../identity/original-ref.ts'
import { invalidPath } from '../text/invalid-path.ts'
import type { ImageRequest } from './image-path.ts'
import { decodePathPart, formatPictureTail, parsePictureTail } from './picture-tail.ts'

/** What a URL below `/s3/` asks for: a rendition of an object, or what is known of it. */
export type ObjectRequest =
  | {
      readonly kind: 'picture'
      readonly request: ImageRequest & { readonly original: ObjectRef }
      /** The path until the spec, with the key as it was written. */
      readonly prefix: string
    }
  | { readonly kind: 'info'; readonly original: ObjectRef }

/** In bytes of UTF-8; S3's own limit. */
const MAX_KEY_BYTES = 1024
const SEPARATOR = '/-/'
/** What an alias can be at all. A redirect repeats it, and no header takes just any character. */
const ALIAS = /^[a-z0-9.-]+$/

/**
 * Reads the path of something made of an object in a configured bucket.
 *
 * ```
 * path = "/s3/" alias "/" key "/-/" ( "info" | spec [ "." ext | "/" name "." ext ] )
 * ```
 *
 * The last `/-/` separates, so a key may hold others. The key is percent-encoded UTF-8; `+` is a plus sign, `%2F` a slash like any
 * other. Clients and proxies resolve the segments `.` and `..` of a path, so in a key those are written with `%2F` at
 * their sides.
 *
 * @param path The raw path of the request, percent-encoded, without the query.
 * @param versionId Of the object, if one is asked for.
 * @throws RequestError `invalid_path` with the reason.
 */
export function parseObjectPath(path: string, versionId?: string): ObjectRequest {
  const end = path.lastIndexOf(SEPARATOR)
  const { alias, keyText } =
    /^\/s3\/(?<alias>[^/]+)\/(?<keyText>.+)$/s.exec(path.slice(0, Math.max(0, end)))?.groups ?? {}
  if (alias === undefined || keyText === undefined) {
    throw invalidPath('Malformed object path: use /s3/{bucket}/{key}/-/400w, …/-/400w.webp or …/-/400w/{name}.webp')
  }
  const bucket = decodePathPart(alias)
  if (!ALIAS.test(bucket))
    throw invalidPath('A bucket alias must consist of lower-case letters, digits, dots and dashes')
  const key = decodePathPart(keyText)
  if (Buffer.byteLength(key) > MAX_KEY_BYTES)
    throw invalidPath(`An object key must have at most ${MAX_KEY_BYTES} bytes`)
  if (key.includes('\0')) throw invalidPath('An object key must not contain NUL')
  const original = { kind: 'object', bucket, key, ...(versionId !== undefined && { versionId }) } as const
  const [specText = '', fileText, ...rest] = path.slice(end + SEPARATOR.length).split('/')
  if (rest.length > 0)
    throw invalidPath('Too many segments after /-/: use /-/400w, /-/400w.webp or /-/400w/{name}.webp')
  if (specText === 'info' && fileText === undefined) return { kind: 'info', original }
  const tail = parsePictureTail([specText, fileText])
  return {
    kind: 'picture',
    request: { original, ...tail },
    prefix: `/s3/${bucket}/${keyText}${SEPARATOR}`,
  }
}

/** The path of a picture of an object, as our own URLs have it and as it is signed. */
export function formatObjectPath({ original, ...tail }: ImageRequest & { readonly original: ObjectRef }): string {
  const path = `/s3/${original.bucket}/${encodeKey(original.key)}${SEPARATOR}${formatPictureTail(tail)}`
  return original.versionId === undefined ? path : `${path}?versionId=${encodeURIComponent(original.versionId)}`
}

/** Slashes stay, but those beside a segment that a client would resolve. */
export function encodeKey(key: string): string {
  return key
    .split('/')
    .map((segment) => ({ text: encodeURIComponent(segment), isDots: segment === '.' || segment === '..' }))
    .reduce((path, { text, isDots }, index, segments) => {
      if (index === 0) return text
      return `${path}${isDots || segments[index - 1]?.isDots ? '%2F' : '/'}${text}`
    }, '')
}
