import { RequestError } from '../../errors.ts'
import { isUrlFormat, type OutputFormat } from '../spec/image-format.ts'
import { formatSpec, parseSpec, type Spec } from '../spec/spec.ts'
import { invalidPath, isPercentEncoded } from '../text/path-text.ts'

/** The end of a rendition's path: the size, and optionally format and name. */
export interface PictureTail {
  readonly spec: Spec
  /** Absent: the best format that the client's `Accept` allows. */
  readonly format?: OutputFormat
  /** Free text for people and search engines, percent-encoded as sent; only with `format`. Empty: see `signedPath`. */
  readonly name?: string
}

/**
 * Reads `spec [ "." ext ]` or `spec "/" name "." ext` in any valid spelling. A spec may contain dots, as in
 * `400w,1.5x`: the text after the last dot is an extension only if it is the name of a format.
 *
 * @param parts Segments of the path: the spec, and optionally the file name.
 * @throws RequestError `invalid_path` with the reason.
 */
export function parsePictureTail(
  [firstText, fileText]: readonly [string, (string | undefined)?],
  readSpec: (text: string) => Spec = parseSpec,
): PictureTail {
  const first = decodePathPart(firstText)
  if (fileText !== undefined) return { spec: readSpec(first), ...parseFileName(fileText) }
  const { specText = first, extension } = EXTENSION.exec(first)?.groups ?? {}
  if (extension === undefined) return { spec: readSpec(first) }
  const format = readFormat(extension)
  if (format !== undefined) return { spec: readSpec(specText), format }
  // "2.x" is another spelling of "2x".
  if (isReadable(specText, readSpec)) throw unknownFormat(extension)
  return { spec: readSpec(first) }
}

const EXTENSION = /^(?<specText>.*)\.(?<extension>[a-z][a-z0-9]*)$/i

function parseFileName(text: string): Pick<PictureTail, 'name' | 'format'> {
  const { name, extension } = /^(?<name>.+)\.(?<extension>[^.]+)$/.exec(text)?.groups ?? {}
  if (name === undefined || extension === undefined) {
    throw invalidPath(
      'The size may only be followed by a format, or by a name and a format: use 400w, 400w.webp or 400w/cat.webp',
    )
  }
  // The name is ignored, so its bytes need not be UTF-8.
  if (!isPercentEncoded(name)) throw invalidPath('The path is not correctly percent-encoded')
  return { name, format: parseFormat(decodePathPart(extension)) }
}

function isReadable(text: string, readSpec: (text: string) => Spec): boolean {
  try {
    readSpec(text)
    return true
  } catch (error) {
    if (error instanceof RequestError) return false
    throw error
  }
}

/** The canonical spelling: the inverse of `parsePictureTail`. */
export function formatPictureTail({ spec, format, name }: PictureTail): string {
  const text = formatSpec(spec)
  if (format === undefined) return text
  return name === undefined ? `${text}.${format}` : `${text}/${name}.${format}`
}

/** Reads a format of a URL; "jpeg" and capitals are accepted. @throws RequestError `invalid_path` */
export function parseFormat(text: string): OutputFormat {
  const format = readFormat(text)
  if (format === undefined) throw unknownFormat(text)
  return format
}

/** The same; undefined for any other text. */
export function readFormat(text: string): OutputFormat | undefined {
  const format = text.toLowerCase()
  if (format === 'jpeg') return 'jpg'
  return isUrlFormat(format) ? format : undefined
}

function unknownFormat(text: string): RequestError {
  return invalidPath(`"${text}" is not an output format: write jpg, png, webp, avif or gif`)
}

/** @throws RequestError `invalid_path` if the text is not percent-encoded UTF-8. */
export function decodePathPart(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    throw new RequestError('invalid_path', 'The path is not correctly percent-encoded', { cause })
  }
}
