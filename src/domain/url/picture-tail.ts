import { RequestError } from '../../errors.ts'
import { isUrlFormat, type OutputFormat } from '../spec/image-format.ts'
import { formatSpec, parseSpec, type Spec, suggestSpec } from '../spec/spec.ts'
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
function readFormat(text: string): OutputFormat | undefined {
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

/** Query parameters of other services, as texts for `suggestSpec`. */
const OPTIONS = {
  w: (value: string) => `w${value}`,
  width: (value: string) => `w${value}`,
  h: (value: string) => `h${value}`,
  height: (value: string) => `h${value}`,
  size: (value: string) => value,
  fit: (value: string) => value,
  dpr: (value: string) => `dpr${value}`,
  q: (value: string) => `q${value}`,
  quality: (value: string) => `q${value}`,
  format: () => '',
} as const satisfies Record<string, (value: string) => string>
type OptionName = keyof typeof OPTIONS

/** Lower-case names that exclude a query from direct hits: `npm run docs` writes them into nginx.conf. */
export const QUERY_OPTION_NAMES: readonly string[] = Object.keys(OPTIONS)

const SIZE_NAMES: readonly OptionName[] = ['w', 'width', 'h', 'height', 'size']
/** Example for a path without a size. */
const EXAMPLE_SIZE = '400w'

/**
 * Refuses a query that looks like options on the path of a picture: they would be ignored, and another picture shown
 * than was meant. Names are case-insensitive. Other parameters (signatures, cache busters) are allowed.
 *
 * @param path Below `/image/` or `/s3/`.
 * @throws RequestError `invalid_path` with the correct path.
 * @example assertNoQueryOptions('/image/3f2a…', 'w=400') // throws: write /image/{id}/400w
 */
export function assertNoQueryOptions(path: string, querystring: string): void {
  if (querystring === '') return
  const query = new URLSearchParams(querystring)
  if (path === '/image/' && query.has('url')) {
    throw invalidPath(
      'Malformed URL of a remote image: use /image?url={url}&size={size}, without a slash before the question mark',
    )
  }
  const given = [...query].flatMap(([name, value]) => {
    const option = name.toLowerCase()
    return isOption(option) ? [{ name: option, value }] : []
  })
  const [first] = given
  if (first === undefined) return
  throw invalidPath(`"${first.name}" belongs in the path, not in the query: use ${pathWith(path, given)}`)
}

interface GivenOption {
  readonly name: OptionName
  readonly value: string
}

function pathWith(path: string, given: readonly GivenOption[]): string {
  const isObject = path.startsWith('/s3/')
  const tail = isObject ? path.slice(path.lastIndexOf('/-/') + 1) : path.replace(/^\/image\//, '')
  const [, first = '', fileText = first] = tail.split('/')
  const { specText = first, extension = '' } = /^(?<specText>.*)\.(?<extension>[^.]+)$/.exec(fileText)?.groups ?? {}
  const [asked] = given.filter(({ name }) => name === 'format').map(({ value }) => readFormat(value))
  const inPath = readFormat(extension)
  const format = asked ?? inPath
  const isNameless = fileText === first && inPath !== undefined
  const spec = specWith(isNameless ? specText : first, given)
  return `${isObject ? '/s3/{bucket}/{key}/-' : '/image/{id}'}/${spec}${format === undefined ? '' : `.${format}`}`
}

/** The size and the options of the query if they form a spec; otherwise an example size. */
function specWith(specText: string, given: readonly GivenOption[]): string {
  const hasSize = given.some(({ name }) => SIZE_NAMES.includes(name))
  const tokensOf = (options: readonly GivenOption[]) => options.map(({ name, value }) => OPTIONS[name](value)).join()
  const all = tokensOf(given)
  // "fit" needs both sides here, but not in other services.
  const fitless = tokensOf(given.filter(({ name }) => name !== 'fit'))
  const candidates = hasSize
    ? [all, fitless]
    : [`${specText},${all}`, `${specText},${fitless}`, `${EXAMPLE_SIZE},${all}`, `${EXAMPLE_SIZE},${fitless}`]
  const [spec] = candidates.map((text) => suggestSpec(text.toLowerCase())).filter((each) => each !== undefined)
  return spec ?? EXAMPLE_SIZE
}

function isOption(name: string): name is OptionName {
  return Object.hasOwn(OPTIONS, name)
}
