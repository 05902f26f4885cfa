import { DEFAULT_STEPS } from '../../src/domain/access/size-steps.ts'
import { CACHE_TAG_HEADERS, type CacheTagHeader } from '../../src/domain/caching/cache-tags.ts'
import { ERROR_HEADERS, PICTURE_HEADERS, renditionCacheControl } from '../../src/domain/caching/http-caching.ts'
import { IMAGE_ID_PATTERN } from '../../src/domain/identity/image-id.ts'
import {
  ACCEPT_CLASSES,
  ACCEPT_PATTERNS,
  CHOSEN_FORMATS,
  contentTypeOf,
  OUTPUT_FORMATS,
} from '../../src/domain/spec/image-format.ts'
import { SPEC_PATTERN } from '../../src/domain/spec/spec.ts'
import { QUERY_OPTION_NAMES } from '../../src/domain/url/picture-tail.ts'
import { NOT_FOUND_LIMIT, OVERLOADED, SERVER_ERRORS, type ServerError } from '../../src/http/answer/error-response.ts'

/** Places in the order in which nginx tries the formats of a class: as many as the longest order has. */
const FORMAT_PLACES = Array.from(
  { length: Math.max(...ACCEPT_CLASSES.map((name) => CHOSEN_FORMATS[name].length)) },
  (_, place) => place,
)

/** `SIZE_STEPS='100 200 400' npm run docs` writes an nginx.conf for these steps. */
const STEPS = (process.env['SIZE_STEPS'] ?? DEFAULT_STEPS)
  .trim()
  .split(/\s+/)
  .toSorted((a, b) => Number(a) - Number(b))
const SIDE = String.raw`[1-9]\d{0,5}`

/** What the placeholders of the templates in tools/docs/nginx/ stand for: text made from the tables of src/. */
export const NGINX_VALUES: ReadonlyMap<string, string> = new Map([
  ['types', OUTPUT_FORMATS.map((format) => `${contentTypeOf(format)} ${format};`).join('\n')],
  ['extensions', OUTPUT_FORMATS.join('|')],
  ['dotted-extensions', OUTPUT_FORMATS.map((format) => `\\.${format}`).join('|')],
  ['accept-classes', acceptClasses()],
  ['format-order', formatOrder()],
  ['negotiated-files', FORMAT_PLACES.map((place) => `$negotiated_file.$format${place + 1}`).join(' ')],
  ['step-ladder', STEPS.join(' ')],
  ['step-pattern', stepPattern()],
  ['image-id', IMAGE_ID_PATTERN],
  ['image-path', `/image/(?=(?<shard1>..)(?<shard2>..))(?<id>${IMAGE_ID_PATTERN})/(?<spec>${SPEC_PATTERN})`],
  ['ignored-query', ignoredQuery()],
  ['error-statuses', Object.keys(SERVER_ERRORS).join(' ')],
  ['error-bodies', errorBodies()],
  ['overloaded-body', errorBody(OVERLOADED)],
  ['not-found-body', errorBody(NOT_FOUND_LIMIT)],
  ['retry-after', retryAfter()],
  ['rendition-cache-control', quote(renditionCacheControl())],
  ['tag-maps', tagMaps()],
  ['hit-tags', addTags((header) => `$hit_${variable(header)}`)],
  ['node-tags', addTags((header) => `$upstream_http_${variable(header)}`)],
  ['picture-headers', addHeaders(PICTURE_HEADERS)],
  ['error-headers', addHeaders(ERROR_HEADERS, ' always')],
])

/** Rows of a map from `Accept` to a class. */
function acceptClasses(): string {
  return Object.entries(ACCEPT_PATTERNS)
    .map(([name, pattern]) => `"~*${pattern}" ${name};`)
    .join('\n')
}

/** A map for each place in the order of formats; a class with fewer of them repeats its last one. */
function formatOrder(): string {
  return FORMAT_PLACES.map((place) => {
    const rows = ACCEPT_CLASSES.map((name) => `${name} ${CHOSEN_FORMATS[name][place] ?? CHOSEN_FORMATS[name].at(-1)};`)
    return `map $accept_class $format${place + 1} { ${rows.join(' ')} }`
  }).join('\n')
}

/**
 * An expression of PCRE for a side, which captures its step from the ladder behind the spec: the first step that is not less, else the
 * last one. The alternatives are divided by digits, so that few are tried.
 */
function stepOfSide(name: string): string {
  const alternatives = STEPS.map((step, index) => {
    const place = STEPS.slice(0, index).join(' ').length + Math.min(index, 1)
    const side = index === STEPS.length - 1 ? SIDE : upTo(step)
    return { step, text: String.raw`${side}(?!\d)(?=[^ ]* .{${place}}(?<${name}>${step}))` }
  })
  const join = (texts: readonly { readonly text: string }[]) => texts.map(({ text }) => text).join('|')
  const [small, large] = [alternatives.slice(0, STEPS.length / 2), alternatives.slice(STEPS.length / 2)]
  const middle = small.at(-1)
  if (middle === undefined) return `(?|${join(large)})`
  return String.raw`(?|(?=${upTo(middle.step)}(?!\d))(?|${join(small)})|${join(large)})`
}

/** One side with any options, or two sides without. */
function stepPattern(): string {
  const second = `(?<=w)${stepOfSide('step2')}(?<unit2>h)`
  return `"~(?s)^${stepOfSide('step1')}(?<unit>[whs])(?:(?<options>,[^ ]*)?|${second}) "`
}

/** An expression for the whole numbers from 1 to this one, without leading zeros. */
function upTo(number: string): string {
  const digits = number.split('')
  const rest = (length: number) => String.raw`\d`.repeat(length)
  const shorter = digits.slice(1).map((_, length) => `[1-9]${rest(length)}`)
  const smaller = digits.flatMap((digit, place) => {
    const first = place === 0 ? 1 : 0
    const before = number.slice(0, place)
    const last = Number(digit) - 1
    const lower = first === last ? String(first) : `[${first}-${last}]`
    return last < first ? [] : [`${before}${lower}${rest(digits.length - place - 1)}`]
  })
  return `(?:${[...shorter, ...smaller, number].join('|')})`
}

/** The end of a URL without a query, or with one that neither has an option's name nor any percent-encoded name. */
function ignoredQuery(): string {
  const option = `(?i:${QUERY_OPTION_NAMES.join('|')})(?:[=&#]|$)`
  return String.raw`(?:$|\?(?!(?:[^&]*&)*(?:[^=&]*%|${option}))[^\x7f-\xff]*$)`
}

/** Rows of a map from the status; a status without a row is a bug of the configuration. */
function errorBodies(): string {
  const rows = Object.entries(SERVER_ERRORS).map(([status, error]) => `${status} ${errorBody(error)};`)
  return [`default ${errorBody(SERVER_ERRORS[500])};`, ...rows].join('\n')
}

function errorBody({ code, message }: ServerError): string {
  return `'${JSON.stringify({ error: code, message }).replaceAll(/['\\]/g, String.raw`\$&`)}'`
}

function retryAfter(): string {
  const errors: readonly (readonly [string, ServerError])[] = Object.entries(SERVER_ERRORS)
  return errors
    .flatMap(([status, { retryAfterSeconds: seconds }]) => (seconds === undefined ? [] : [`${status} ${seconds};`]))
    .join('\n')
}

/** A map for each header: the tag of an upload if the site sends the header. */
function tagMaps(): string {
  return CACHE_TAG_HEADERS.map((header) => {
    const value = header === 'Cache-Groups' ? `'"$id"'` : '$id'
    return `map $tag_headers $hit_${variable(header)} { "~*(?:^|[ ,])${header}(?:[ ,]|$)" ${value}; }`
  }).join('\n')
}

function addTags(valueOf: (header: CacheTagHeader) => string): string {
  return CACHE_TAG_HEADERS.map((header) => `add_header ${header} ${valueOf(header)};`).join('\n')
}

/** The name in a variable of nginx. */
function variable(header: CacheTagHeader): string {
  return header.toLowerCase().replaceAll('-', '_')
}

/** @param when Empty: for answers without an error only. */
function addHeaders(headers: Readonly<Record<string, string>>, when: '' | ' always' = ''): string {
  return Object.entries(headers)
    .map(([name, value]) => `add_header ${name} ${quote(value)}${when};`)
    .join('\n')
}

function quote(value: string): string {
  return /^[\w*-]+$/.test(value) ? value : `"${value.replaceAll(/["\\]/g, String.raw`\$&`)}"`
}
