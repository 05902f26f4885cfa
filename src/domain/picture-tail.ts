import { RequestError } from '../errors.ts'
import { isUrlFormat, type OutputFormat } from './image-format.ts'
import { invalidPath } from './invalid-path.ts'
import { formatSpec, parseSpec, type Spec } from './spec.ts'

/** The end of a rendition's path: the size, and the file name if there is one. */
export interface PictureTail {
  readonly spec: Spec
  /** Absent: the best format that the client's `Accept` allows. */
  readonly format?: OutputFormat
  /** Free text for people and search engines, percent-encoded as it came; there if and only if `format` is. */
  readonly name?: string
}

/**
 * Reads `spec [ "/" name "." ext ]` in any valid spelling.
 * @param parts Of the path: the spec, and the file name if there is one.
 * @throws RequestError `invalid_path` with the reason.
 */
export function parsePictureTail(
  [specText, fileText]: readonly [string, (string | undefined)?],
  readSpec: (text: string) => Spec = parseSpec,
): PictureTail {
  const spec = readSpec(decodePathPart(specText))
  if (fileText === undefined) return { spec }
  const { name, extension } = /^(?<name>.+)\.(?<extension>[^.]+)$/.exec(fileText)?.groups ?? {}
  if (name === undefined || extension === undefined) {
    throw invalidPath('The last part of the path is a file name such as "cat.webp": a name, a dot and a format')
  }
  decodePathPart(name)
  return { spec, name, format: parseFormat(decodePathPart(extension)) }
}

/** The canonical spelling: the inverse of `parsePictureTail`. */
export function formatPictureTail({ spec, format, name }: PictureTail): string {
  const text = formatSpec(spec)
  return format === undefined ? text : `${text}/${name}.${format}`
}

/** Reads a format as URLs name it: "jpeg" and capitals are other spellings. @throws RequestError `invalid_path` */
export function parseFormat(text: string): OutputFormat {
  const format = text.toLowerCase()
  if (format === 'jpeg') return 'jpg'
  if (isUrlFormat(format)) return format
  throw invalidPath(`"${format}" is not a format that we make: there are jpg, png, webp, avif and gif`)
}

/** @throws RequestError `invalid_path` for what is not correctly percent-encoded UTF-8. */
export function decodePathPart(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    throw new RequestError('invalid_path', 'The path is not correctly percent-encoded', { cause })
  }
}
