import type { ObjectRef, OriginalRef, RemoteRef } from '../identity/image-id.ts'
import { invalidImageId, isImageId } from '../identity/image-id.ts'
import { parseRemoteUrl } from '../network/remote-hosts.ts'
import { formatSpec, parseSpec, type Spec } from '../spec/spec.ts'
import { invalidPath } from '../text/path-text.ts'
import { decodePathPart, formatPictureTail, type PictureTail, parseFormat, parsePictureTail } from './picture-tail.ts'

/**
 * Reads the URL of a picture with any kind of original, without scheme and host.
 * @example parsePictureUrl('/s3/photos/cat.jpg/-/400w')
 * @throws RequestError `invalid_path` with the reason.
 */
export function parsePictureUrl(url: string): ImageRequest {
  const [path = '', ...queries] = url.split('?')
  const query = queries.join('?')
  const isRemote = path === '/image'
  if (!isRemote && !path.startsWith('/s3/')) return parseImagePath(path)
  const versionId = new URLSearchParams(query).get('versionId') ?? undefined
  const parsed = isRemote ? parseRemoteQuery(query) : parseObjectPath(path, versionId)
  if (parsed.kind === 'picture') return parsed.request
  throw invalidPath('"info" is not a size')
}

/** The canonical URL of a picture, without scheme and host. */
export function formatPictureUrl({ original, ...tail }: ImageRequest): string {
  switch (original.kind) {
    case 'image':
      return formatImagePath({ original, ...tail })
    case 'object':
      return formatObjectPath({ original, ...tail })
    case 'remote':
      return formatRemoteUrl({ original, ...tail })
  }
}

/**
 * The URL as it is signed: canonical and without the name, which is free text. So `400w.webp` is signed like
 * `400w/cat.webp`.
 * @example signedPath(parsePictureUrl('/image/3f2a…/400w/cat.webp')) // '/image/3f2a…/400w/.webp'
 */
export function signedPath({ original, spec, format }: ImageRequest): string {
  return formatPictureUrl({ original, spec, ...(format !== undefined && { format, name: '' }) })
}

/** The content of the URL of a rendition. */
export interface ImageRequest extends PictureTail {
  readonly original: OriginalRef
}

/** The same for an upload. */
export interface UploadRequest extends PictureTail {
  readonly original: Extract<OriginalRef, { kind: 'image' }>
}

/**
 * Reads the path of a rendition in any valid spelling; `formatImagePath` returns the canonical one, which is equal if
 * and only if the path was canonical.
 *
 * ```
 * path = "/image/" id "/" spec [ "." ext | "/" name "." ext ]
 * ext  = "jpg" | "png" | "webp" | "avif" | "gif"        ; "jpeg" is another spelling of "jpg"
 * ```
 *
 * @param path The raw path of the request, percent-encoded, without the query.
 * @param readSpec Such as `parseSpecOrReticulumSize`.
 * @throws RequestError `invalid_path` with the reason.
 */
export function parseImagePath(path: string, readSpec: (text: string) => Spec = parseSpec): UploadRequest {
  const [root, route, idText = '', specText, fileText, ...rest] = path.split('/')
  if (root !== '' || route !== 'image' || specText === undefined || rest.length > 0) {
    throw invalidPath(
      'Malformed image path: use /image/{id}/400w, /image/{id}/400w.webp or /image/{id}/400w/{name}.webp',
    )
  }
  const id = decodePathPart(idText).toLowerCase()
  if (!isImageId(id)) throw invalidImageId(decodePathPart(idText))
  return { original: { kind: 'image', id }, ...parsePictureTail([specText, fileText], readSpec) }
}

/** The canonical path: the inverse of `parseImagePath`. */
export function formatImagePath({ original, ...tail }: UploadRequest): string {
  return `/image/${original.id}/${formatPictureTail(tail)}`
}

/** The content of a URL below `/s3/`: a rendition of an object, or its info. */
export type ObjectRequest =
  | {
      readonly kind: 'picture'
      readonly request: ImageRequest & { readonly original: ObjectRef }
      /** The path up to the spec, with the key as sent. */
      readonly prefix: string
    }
  | { readonly kind: 'info'; readonly original: ObjectRef }

/** Bytes of UTF-8; the limit of S3. */
const MAX_KEY_BYTES = 1024
const SEPARATOR = '/-/'
/** The characters of an alias, which a redirect repeats in a header. */
const ALIAS = /^[a-z0-9.-]+$/

/**
 * Reads the path of a rendition or the info of an object in a configured bucket.
 *
 * ```
 * path = "/s3/" alias "/" key "/-/" ( "info" | spec [ "." ext | "/" name "." ext ] )
 * ```
 *
 * The last `/-/` separates, so a key may contain others. The key is percent-encoded UTF-8; `+` is a plus sign, `%2F` a
 * slash like any other. Clients and proxies resolve the segments `.` and `..` of a path, so in a key they are written
 * with `%2F` beside them.
 *
 * @param path The raw path of the request, percent-encoded, without the query.
 * @param versionId Of the object, if one is requested.
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

/** The canonical path of a picture of an object, as it is signed. */
export function formatObjectPath({ original, ...tail }: ImageRequest & { readonly original: ObjectRef }): string {
  const path = `/s3/${original.bucket}/${encodeKey(original.key)}${SEPARATOR}${formatPictureTail(tail)}`
  return original.versionId === undefined ? path : `${path}?versionId=${encodeURIComponent(original.versionId)}`
}

/** Slashes are kept, except beside a segment that a client would resolve. */
export function encodeKey(key: string): string {
  return key
    .split('/')
    .map((segment) => ({ text: encodeURIComponent(segment), isDots: segment === '.' || segment === '..' }))
    .reduce((path, { text, isDots }, index, segments) => {
      if (index === 0) return text
      return `${path}${isDots || segments[index - 1]?.isDots ? '%2F' : '/'}${text}`
    }, '')
}

/** The content of `/image?url=…`: a rendition of a remote image, or its info. */
export type RemoteRequest =
  | {
      readonly kind: 'picture'
      readonly request: ImageRequest & { readonly original: RemoteRef }
      readonly isCanonical: boolean
    }
  | { readonly kind: 'info'; readonly original: RemoteRef }

/**
 * Reads the query of a rendition or the info of a remote image.
 *
 * ```
 * query = "url=" url [ "&size=" ( "info" | spec ) ] [ "&format=" ext ]          ; in any order; more is left alone
 * ```
 *
 * Without a size the picture keeps its size.
 *
 * @throws RequestError `invalid_path` with the reason.
 */
export function parseRemoteQuery(querystring: string): RemoteRequest {
  const query = new URLSearchParams(querystring)
  const url = once(query, 'url')
  if (url === undefined) {
    throw invalidPath(
      'Malformed URL of a remote image: use /image?url={url}&size={size}&format={ext}, with the value of url percent-encoded',
    )
  }
  const original = { kind: 'remote', url: parseRemoteUrl(url) } as const
  const sizeText = once(query, 'size')
  if (sizeText === 'info') return { kind: 'info', original }
  const formatText = once(query, 'format')
  const spec = parseSpec(sizeText ?? 'full')
  const format = formatText === undefined ? undefined : parseFormat(formatText)
  return {
    kind: 'picture',
    request: { original, spec, ...(format !== undefined && { format }) },
    isCanonical: (sizeText === undefined || sizeText === formatSpec(spec)) && formatText === format,
  }
}

/** The query with this size and the canonical format. */
export function respellRemoteQuery(
  querystring: string,
  { spec, format }: Pick<ImageRequest, 'spec' | 'format'>,
): string {
  const query = new URLSearchParams(querystring)
  query.set('size', formatSpec(spec))
  if (format !== undefined) query.set('format', format)
  return query.toString()
}

/** The canonical URL of a picture of a remote image, as it is signed. */
function formatRemoteUrl({ original, spec, format }: ImageRequest & { readonly original: RemoteRef }): string {
  const url = `/image?url=${encodeURIComponent(original.url)}&size=${formatSpec(spec)}`
  return format === undefined ? url : `${url}&format=${format}`
}

function once(query: URLSearchParams, name: string): string | undefined {
  const values = query.getAll(name)
  if (values.length > 1) throw invalidPath(`Parameter ${name}= is repeated: specify it once`)
  return values[0]
}
