/** Formats of renditions, by their extension in URLs and file names. */
export const OUTPUT_FORMATS = ['jpg', 'png', 'webp', 'avif', 'gif'] as const
export type UrlFormat = (typeof OUTPUT_FORMATS)[number]
/** `tiff` occurs only in URLs of rethumb. */
export type OutputFormat = UrlFormat | 'tiff'

/** Formats of originals, by sharp's names. The last three are disabled by default. */
export const INPUT_FORMATS = ['jpeg', 'png', 'webp', 'avif', 'gif', 'tiff', 'heif', 'svg'] as const
export type InputFormat = (typeof INPUT_FORMATS)[number]

const CONTENT_TYPES = {
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  png: 'image/png',
  webp: 'image/webp',
  avif: 'image/avif',
  gif: 'image/gif',
  tiff: 'image/tiff',
  heif: 'image/heif',
  svg: 'image/svg+xml',
} as const satisfies Record<OutputFormat | InputFormat, string>

export function contentTypeOf(format: OutputFormat | InputFormat): string {
  return CONTENT_TYPES[format]
}

export function isUrlFormat(text: string): text is UrlFormat {
  return OUTPUT_FORMATS.some((format) => format === text)
}

export function isInputFormat(text: string): text is InputFormat {
  return INPUT_FORMATS.some((format) => format === text)
}

/** Classes of clients, by the formats that they can show. nginx.conf gets the same classes from `npm run docs`. */
export const ACCEPT_CLASSES = ['avif', 'webp', 'other'] as const
export type AcceptClass = (typeof ACCEPT_CLASSES)[number]

/**
 * Matches an `Accept` header of a class, in any case. Classes are tried in this order. A weight of zero refuses the type (RFC 9110,
 * section 12.4.2). The syntax is common to JavaScript and PCRE: nginx.conf has the same expressions.
 */
export const ACCEPT_PATTERNS = {
  avif: acceptPattern(CONTENT_TYPES.avif),
  webp: acceptPattern(CONTENT_TYPES.webp),
} as const satisfies Record<Exclude<AcceptClass, 'other'>, string>

const ACCEPTS_AVIF = new RegExp(ACCEPT_PATTERNS.avif, 'i')
const ACCEPTS_WEBP = new RegExp(ACCEPT_PATTERNS.webp, 'i')

function acceptPattern(type: string): string {
  return String.raw`(?:^|[,\s])${type}(?![^,]*;\s*q=0(?:\.0*)?\s*(?:[,;]|$))(?:[\s,;]|$)`
}

/** Class of a client by its `Accept`. A wildcard does not count: browsers that support AVIF or WebP name them. */
export function acceptClass(accept: string | undefined): AcceptClass {
  if (accept === undefined) return 'other'
  if (ACCEPTS_AVIF.test(accept)) return 'avif'
  return ACCEPTS_WEBP.test(accept) ? 'webp' : 'other'
}

/** How the format is chosen: for a client of a class, or as the original has it. */
export type FormatChoice = AcceptClass | 'source'

/** Possible formats of the response, the most likely first. */
export const CHOSEN_FORMATS = {
  avif: ['avif', 'webp'],
  webp: ['webp'],
  other: ['jpg', 'png', 'gif'],
  source: ['jpg', 'png', 'webp', 'gif', 'avif'],
} as const satisfies Record<FormatChoice, readonly OutputFormat[]>

/** Whether the format supports several frames. */
export function canAnimate(format: OutputFormat): boolean {
  return format === 'webp' || format === 'gif'
}
