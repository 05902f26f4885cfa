import { RequestError } from '../../errors.ts'
import { suggestSpec } from '../spec/spec.ts'
import { nearestWord } from '../text/edit-distance.ts'
import { invalidPath } from '../text/path-text.ts'
import { readFormat } from './picture-tail.ts'

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

/** Parameters of `POST /images`. */
const PARAMETERS = ['sizes'] as const

/**
 * Refuses unknown parameters: the client expects that they have an effect.
 * @throws RequestError `invalid_upload` with the name that was probably meant, or with the valid names.
 */
export function assertUploadParameters(query: URLSearchParams): void {
  const unknown = [...query.keys()].find((name) => !PARAMETERS.some((known) => known === name))
  if (unknown === undefined) return
  const meant = nearestWord(unknown.toLowerCase(), PARAMETERS, 2)
  const right = meant === undefined ? 'write /images?sizes=400w+800w, or no query' : `did you mean "${meant}"?`
  throw new RequestError('invalid_upload', `"${unknown}" is not a parameter of POST /images: ${right}`)
}
