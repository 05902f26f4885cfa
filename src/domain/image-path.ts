import { RequestError } from '../errors.ts'
import { isOutputFormat, type OutputFormat } from './image-format.ts'
import { isImageId } from './image-id.ts'
import { formatSpec, parseSpec, type Spec } from './spec.ts'

/** What the URL of a rendition asks for. */
export interface ImageRequest {
  readonly id: string
  readonly spec: Spec
  /** Absent: the best format that the client's `Accept` allows. */
  readonly format?: OutputFormat
  /** Free text for people and search engines, percent-encoded as it came; there if and only if `format` is. */
  readonly name?: string
}

/**
 * Reads the path of a rendition in any valid spelling; `formatImagePath` gives the canonical one, and they are the same
 * if and only if the path was canonical.
 *
 * ```
 * path = "/image/" id "/" spec [ "/" name "." ext ]
 * ext  = "jpg" | "png" | "webp" | "avif" | "gif"        ; "jpeg" is another spelling of "jpg"
 * ```
 *
 * @param path The raw path of the request, percent-encoded, without the query.
 * @throws RequestError `invalid_path` with the reason.
 */
export function parseImagePath(path: string): ImageRequest {
  const [root, route, idText = '', specText, fileText, ...rest] = path.split('/')
  if (root !== '' || route !== 'image' || specText === undefined || rest.length > 0) {
    throw invalid('An image is at /image/{id}/{size} or /image/{id}/{size}/{name}.{ext}')
  }
  const id = decode(idText).toLowerCase()
  if (!isImageId(id)) throw invalid('The id of an image is 40 hexadecimal digits')
  const spec = parseSpec(decode(specText))
  if (fileText === undefined) return { id, spec }
  const { name, extension } = /^(?<name>.+)\.(?<extension>[^.]+)$/.exec(fileText)?.groups ?? {}
  if (name === undefined || extension === undefined) {
    throw invalid('The last part of the path is a file name such as "cat.webp": a name, a dot and a format')
  }
  decode(name)
  return { id, spec, name, format: parseExtension(decode(extension).toLowerCase()) }
}

/** The canonical path: the inverse of `parseImagePath`. */
export function formatImagePath({ id, spec, format, name }: ImageRequest): string {
  const folder = `/image/${id}/${formatSpec(spec)}`
  return format === undefined ? folder : `${folder}/${name}.${format}`
}

/**
 * The path as it is signed: canonical and without the name, which is free text and no part of the picture.
 * @example signedPath(parseImagePath('/image/3f2a…/400w/cat.webp')) // '/image/3f2a…/400w/.webp'
 */
export function signedPath({ id, spec, format }: ImageRequest): string {
  return formatImagePath(format === undefined ? { id, spec } : { id, spec, format, name: '' })
}

function parseExtension(extension: string): OutputFormat {
  if (extension === 'jpeg') return 'jpg'
  if (isOutputFormat(extension)) return extension
  throw invalid(`"${extension}" is not a format that we make: there are jpg, png, webp, avif and gif`)
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch (cause) {
    throw new RequestError('invalid_path', 'The path is not correctly percent-encoded', { cause })
  }
}

function invalid(reason: string): RequestError {
  return new RequestError('invalid_path', reason)
}
