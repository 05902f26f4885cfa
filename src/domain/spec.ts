import { invalidPath } from './invalid-path.ts'
import { formatOptions, parseOption, type SpecOptions } from './spec-option.ts'

/** The box of a spec. Lengths are CSS pixels, whole, from 1. */
export type SpecSize =
  | { readonly kind: 'full' }
  | { readonly kind: 'square'; readonly side: number }
  | { readonly kind: 'box'; readonly width?: number; readonly height?: number }

/** What a URL asks for. Absent options have their default; a given default is never kept (see `parseSpec`). */
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
 * `formatSpec` gives the canonical spelling: `w` before `h`, options in the order above, numbers without needless zeros,
 * and without the size's default fit, `center` and `1x`. Other spellings of a valid spec parse to the same value.
 *
 * @throws RequestError `invalid_path` with the reason, also for an option that can have no effect where it stands.
 * @example parseSpec('300h400w,smart,cover') // formats back as '400w300h,cover,smart'
 */
export function parseSpec(text: string): Spec {
  const [sizeText = '', ...tokens] = text.toLowerCase().split(',')
  const size = parseSize(sizeText)
  const seen = new Set<string>()
  let options: SpecOptions = {}
  for (const token of tokens) {
    const option = parseOption(token)
    if (seen.has(option.kind)) throw invalidPath(`"${token}" is a second ${option.kind}: give each kind of option once`)
    seen.add(option.kind)
    options = { ...options, ...option.value }
  }
  assertEffective(size, options)
  const { fit, position, dpr, ...rest } = options
  return {
    size,
    ...(fit !== undefined && fit !== defaultFit(size) && { fit }),
    ...(position !== undefined && position !== 'center' && { position }),
    ...(dpr !== undefined && dpr !== 1 && { dpr }),
    ...rest,
  }
}

/** The canonical spelling: the inverse of `parseSpec`, part of the cache key and of the file name. */
export function formatSpec(spec: Spec): string {
  return [formatSize(spec.size), ...formatOptions(spec)].join(',')
}

/** The fit that a size has when its spec names none. */
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
    throw invalidPath(`"${formatSpec(spec)}" is too large: no side may be over ${maxSide} device pixels`)
  }
}

function parseSize(text: string): SpecSize {
  if (text === 'full') return { kind: 'full' }
  const match =
    /^(?:0*(?<side>[1-9]\d{0,5})s|(?:0*(?<w>[1-9]\d{0,5})w)?(?:0*(?<h>[1-9]\d{0,5})h)?(?:0*(?<w2>[1-9]\d{0,5})w)?)$/.exec(
      text,
    )
  const { side, w, h, w2 } = match?.groups ?? {}
  if (side !== undefined) return { kind: 'square', side: Number(side) }
  const width = w ?? w2
  if ((width === undefined && h === undefined) || (w !== undefined && w2 !== undefined)) {
    throw invalidPath(`"${text}" is not a size: write "full", "400w", "300h", "400w300h" or "100s"`)
  }
  return {
    kind: 'box',
    ...(width !== undefined && { width: Number(width) }),
    ...(h !== undefined && { height: Number(h) }),
  }
}

function formatSize(size: SpecSize): string {
  if (size.kind === 'full') return 'full'
  if (size.kind === 'square') return `${size.side}s`
  return `${size.width === undefined ? '' : `${size.width}w`}${size.height === undefined ? '' : `${size.height}h`}`
}

function assertEffective(size: SpecSize, options: SpecOptions): void {
  const { fit = defaultFit(size), position } = options
  if (size.kind === 'full') {
    for (const [name, value] of Object.entries({ 'a fit': options.fit, position, x: options.dpr, up: options.up })) {
      if (value !== undefined) throw invalidPath(`"full" has no box, so ${name} can have no effect on it`)
    }
    return
  }
  if (size.kind === 'box' && (size.width === undefined || size.height === undefined)) {
    if (fit !== 'inside') throw invalidPath(`"${fit}" needs both sides: one side alone keeps the picture's shape`)
    if (position !== undefined)
      throw invalidPath('A position needs a fit that crops or pads: one side alone does neither')
  }
  if (position === undefined) return
  if (fit !== 'cover' && fit !== 'contain') throw invalidPath(`A position can have no effect with the fit "${fit}"`)
  if (fit === 'contain' && (position === 'smart' || position === 'entropy' || typeof position === 'object')) {
    throw invalidPath('"smart", "entropy" and a focal point choose what to crop, and "contain" crops nothing')
  }
}
