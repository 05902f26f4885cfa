import { RequestError, SettingError } from '../../errors.ts'
import { invalidPath } from '../text/path-text.ts'
import { guessSpec } from './guess-spec.ts'
import { formatOptions, GRAVITIES, readOption, type SpecMistake, type SpecOptions } from './spec-option.ts'

/** The box of a spec. Lengths are CSS pixels, whole, from 1. */
export type SpecSize =
  | { readonly kind: 'full' }
  | { readonly kind: 'square'; readonly side: number }
  | { readonly kind: 'box'; readonly width?: number; readonly height?: number }

/**
 * The rendition that a URL requests. Absent options have their default; `parseSpec` drops options that are given with
 * their default.
 */
export interface Spec extends SpecOptions {
  readonly size: SpecSize
}

/**
 * Reads a spec in any valid spelling.
 *
 * ```
 * spec     = size *( "," option )
 * size     = "full" | <w>"w" | <h>"h" | <w>"w"<h>"h" | <n>"s"     ; CSS pixels; times x gives device pixels
 * option   = fit | position | <d>"x" | "q"<1-100> | effect        ; each kind at most once, in this order
 * fit      = "inside" | "cover" | "contain" | "fill" | "outside"  ; default: cover for s, else inside
 * position = "center" | "top" | "topright" | "right" | "bottomright" | "bottom" | "bottomleft" | "left" | "topleft"
 *          | "smart" | "entropy" | "at"<x>"x"<y>                  ; focal point, percent 0-100
 * effect   = "up" | "bg"<rrggbb> | "rot"<90|180|270> | "flip" | "flop" | "gray" | "blur"<sigma> | "sharpen" | "still"
 * ```
 *
 * `formatSpec` gives the canonical spelling: `w` before `h`, options in the order above, numbers without needless
 * zeros, and without the size's default fit, `center` and `1x`. Other spellings of a valid spec parse to the same
 * value.
 *
 * @throws RequestError `invalid_path` with the reason and the nearest valid spelling, also for an option that has no
 *   effect with this size.
 * @example parseSpec('300h400w,smart,cover') // formats back as '400w300h,cover,smart'
 */
export function parseSpec(text: string): Spec {
  const lower = text.toLowerCase()
  const read = readSpec(lower)
  if ('spec' in read) return read.spec
  const { reason, usage } = read.mistake
  const suggestion = suggestSpec(lower)
  if (suggestion !== undefined) throw invalidPath(`${reason}; did you mean "${suggestion}"?`)
  throw invalidPath(usage === undefined ? reason : `${reason}: ${usage}`)
}

/**
 * The spec that was probably meant, in canonical spelling.
 * @param text In lower case, such as `400w@2x` or `w400,q80`.
 */
export function suggestSpec(text: string): string | undefined {
  const guess = guessSpec(text)
  const read = guess === undefined ? undefined : readSpec(guess)
  return read && 'spec' in read ? formatSpec(read.spec) : undefined
}

/**
 * Matches every canonical spelling, and some others: nginx looks for a file of these. The syntax is common to
 * JavaScript and PCRE.
 */
export const SPEC_PATTERN = '[a-z0-9][a-z0-9.,]*'

/** The canonical spelling: the inverse of `parseSpec`, part of the cache key and of the file name. */
export function formatSpec(spec: Spec): string {
  const options = formatOptions(spec)
  return options.length === 0 ? formatSize(spec.size) : `${formatSize(spec.size)},${options.join(',')}`
}

/** The default fit of a size. */
export function defaultFit(size: SpecSize): 'cover' | 'inside' {
  return size.kind === 'square' ? 'cover' : 'inside'
}

/** The box in device pixels; an absent side does not constrain. */
export function deviceBox(spec: Spec): { readonly width?: number; readonly height?: number } {
  const scaled = (length: number) => Math.max(1, Math.round(length * (spec.dpr ?? 1)))
  const { size } = spec
  if (size.kind === 'full') return {}
  if (size.kind === 'square') return { width: scaled(size.side), height: scaled(size.side) }
  return {
    ...(size.width !== undefined && { width: scaled(size.width) }),
    ...(size.height !== undefined && { height: scaled(size.height) }),
  }
}

/** @throws RequestError `invalid_path` if a side in device pixels is over the limit. */
export function assertSideLimit(spec: Spec, maxSide: number): void {
  const { width = 1, height = 1 } = deviceBox(spec)
  if (Math.max(width, height) > maxSide) {
    throw invalidPath(`"${formatSpec(spec)}" is too large: the maximum side is ${maxSide} device pixels (MAX_SIDE)`)
  }
}

type ReadSpec = { readonly spec: Spec } | { readonly mistake: SpecMistake }

/** @param text In lower case. */
function readSpec(text: string): ReadSpec {
  const [sizeText = '', ...tokens] = text.split(',')
  const size = readSize(sizeText)
  if ('mistake' in size) return size
  const seen = new Map<string, string>()
  let options: SpecOptions = {}
  for (const token of tokens) {
    const option = readOption(token)
    if ('mistake' in option) return option
    const before = seen.get(option.kind)
    if (before !== undefined) return { mistake: repetition(before, token) }
    seen.set(option.kind, token)
    options = { ...options, ...option.value }
  }
  const mistake = ineffective(size, options, seen)
  return mistake ? { mistake } : { spec: withoutDefaults(size, options) }
}

function withoutDefaults(size: SpecSize, { fit, position, dpr, ...rest }: SpecOptions): Spec {
  return {
    size,
    ...(fit !== undefined && fit !== defaultFit(size) && { fit }),
    ...(position !== undefined && position !== 'center' && { position }),
    ...(dpr !== undefined && dpr !== 1 && { dpr }),
    ...rest,
  }
}

function readSize(text: string): SpecSize | { readonly mistake: SpecMistake } {
  if (text === 'full') return { kind: 'full' }
  const match =
    /^(?:0*(?<side>[1-9]\d{0,5})s|(?:0*(?<w>[1-9]\d{0,5})w)?(?:0*(?<h>[1-9]\d{0,5})h)?(?:0*(?<w2>[1-9]\d{0,5})w)?)$/.exec(
      text,
    )
  const { side, w, h, w2 } = match?.groups ?? {}
  if (side !== undefined) return { kind: 'square', side: Number(side) }
  const width = w ?? w2
  if ((width === undefined && h === undefined) || (w !== undefined && w2 !== undefined))
    return { mistake: noSize(text) }
  return {
    kind: 'box',
    ...(width !== undefined && { width: Number(width) }),
    ...(h !== undefined && { height: Number(h) }),
  }
}

function noSize(text: string): SpecMistake {
  const lengths = /^(?:[-+.\de]+[whs])+$/.test(text) ? text.split(/(?<=[whs])/) : []
  const wrong = lengths.find((length) => !/^0*[1-9]\d{0,5}[whs]$/.test(length))
  if (wrong === undefined) {
    return { reason: `"${text}" is not a size`, usage: 'write full, 400w, 300h, 400w300h or 100s' }
  }
  return {
    reason: `"${wrong}" is not a length: write an integer number of pixels from 1 to 999999, as in 400${wrong.at(-1)}`,
  }
}

function formatSize(size: SpecSize): string {
  if (size.kind === 'full') return 'full'
  if (size.kind === 'square') return `${size.side}s`
  return `${size.width === undefined ? '' : `${size.width}w`}${size.height === undefined ? '' : `${size.height}h`}`
}

function repetition(before: string, token: string): SpecMistake {
  if (before === token) return { reason: `"${token}" is repeated: write it once` }
  return { reason: `"${before}" and "${token}" cannot be combined: use one of them` }
}

/**
 * @param tokens Tokens of the options, by kind. @returns the error of an option that has no effect; undefined if each
 *   has one.
 */
function ineffective(
  size: SpecSize,
  options: SpecOptions,
  tokens: ReadonlyMap<string, string>,
): SpecMistake | undefined {
  if (size.kind === 'full') {
    const token = ['fit', 'position', 'x', 'up'].map((kind) => tokens.get(kind)).find((each) => each !== undefined)
    return token === undefined ? undefined : { reason: `"full" keeps the whole image: "${token}" has no effect on it` }
  }
  const { fit = defaultFit(size), position } = options
  const place = tokens.get('position')
  // The same size with both sides, as an example in which the option has an effect.
  const whole: SpecSize = size.kind === 'square' ? size : { width: 400, height: 300, ...size }
  const cropped = () => formatSpec(withoutDefaults(whole, { fit: 'cover', ...(position && { position }) }))
  if (size.kind === 'box' && (size.width === undefined || size.height === undefined)) {
    if (fit !== 'inside') return { reason: `"${fit}" requires a width and a height, as in ${formatSize(whole)},${fit}` }
    if (place !== undefined) {
      return { reason: `"${place}" requires a width, a height and "cover" or "contain", as in ${cropped()}` }
    }
  }
  if (place === undefined) return undefined
  if (fit !== 'cover' && fit !== 'contain') {
    const without = options.fit === undefined ? 'without "cover" or "contain"' : `with "${fit}"`
    return { reason: `"${place}" has no effect ${without}: write ${cropped()}` }
  }
  if (fit === 'contain' && !GRAVITIES.some((gravity) => gravity === position)) {
    return { reason: `"${place}" selects the crop area, and "contain" does not crop: write ${cropped()}` }
  }
  return undefined
}

/** A size in a setting. @throws SettingError if it is not a spec, or not in canonical spelling. */
export function parseCanonicalSpec(text: string): Spec {
  const spec = specOfSetting(text)
  const canonical = formatSpec(spec)
  if (canonical === text) return spec
  throw new SettingError(`"${text}" should be written as "${canonical}"`)
}

function specOfSetting(text: string): Spec {
  try {
    return parseSpec(text)
  } catch (error) {
    throw error instanceof RequestError ? new SettingError(error.message, { cause: error }) : error
  }
}
