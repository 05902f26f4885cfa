import { RequestError } from '../errors.ts'

export const FITS = ['inside', 'cover', 'contain', 'fill', 'outside'] as const
export type Fit = (typeof FITS)[number]

export const GRAVITIES = [
  'center',
  'top',
  'topright',
  'right',
  'bottomright',
  'bottom',
  'bottomleft',
  'left',
  'topleft',
] as const
export type Gravity = (typeof GRAVITIES)[number]

/** A point of the picture that stays in sight, in percent of its width and height from the top left. */
export interface FocalPoint {
  readonly x: number
  readonly y: number
}
export type Position = Gravity | 'smart' | 'entropy' | FocalPoint

/** The options of a spec. An absent one has its default; flags are `true` or absent. */
export interface SpecOptions {
  readonly fit?: Fit
  readonly position?: Position
  /** Device pixels per CSS pixel, 0.5-4. */
  readonly dpr?: number
  /** 1-100, on the encoder's own scale. */
  readonly quality?: number
  /** Enlarge an original that is smaller than the box. */
  readonly up?: true
  /** `rrggbb`: behind transparent pixels and around a contained picture. */
  readonly background?: string
  /** Degrees clockwise, after the EXIF orientation. */
  readonly rotate?: 90 | 180 | 270
  /** Mirrored top to bottom. */
  readonly flip?: true
  /** Mirrored left to right. */
  readonly flop?: true
  readonly gray?: true
  /** Sigma of a Gaussian blur in CSS pixels, 0.6-50: less changes no pixel. */
  readonly blur?: number
  readonly sharpen?: true
  /** Only the first frame. */
  readonly still?: true
}

interface OptionKind {
  readonly kind: string
  /** @returns undefined if the token is of another kind. */
  parse(token: string): SpecOptions | undefined
  format(options: SpecOptions): string | undefined
}

/** Every kind of option, in canonical order. */
const KINDS: readonly OptionKind[] = [
  {
    kind: 'fit',
    parse: (token) => {
      const fit = FITS.find((name) => name === token)
      return fit && { fit }
    },
    format: ({ fit }) => fit,
  },
  { kind: 'position', parse: parsePosition, format: ({ position }) => formatPosition(position) },
  {
    kind: 'x',
    parse: (token) => prefixedNumber(token, /^(?<number>[\d.]+)x$/, { min: 0.5, max: 4 }, (dpr) => ({ dpr })),
    format: ({ dpr }) => (dpr === undefined ? undefined : `${dpr}x`),
  },
  {
    kind: 'q',
    parse: (token) => prefixedNumber(token, /^q(?<number>\d+)$/, { min: 1, max: 100 }, (quality) => ({ quality })),
    format: ({ quality }) => (quality === undefined ? undefined : `q${quality}`),
  },
  flag('up', { up: true }, ({ up }) => up),
  {
    kind: 'bg',
    parse: (token) => (/^bg[0-9a-f]{6}$/.test(token) ? { background: token.slice(2) } : undefined),
    format: ({ background }) => (background === undefined ? undefined : `bg${background}`),
  },
  {
    kind: 'rot',
    parse: (token) => {
      const rotate = QUARTER_TURNS.find((angle) => token === `rot${angle}`)
      return rotate && { rotate }
    },
    format: ({ rotate }) => (rotate === undefined ? undefined : `rot${rotate}`),
  },
  flag('flip', { flip: true }, ({ flip }) => flip),
  flag('flop', { flop: true }, ({ flop }) => flop),
  flag('gray', { gray: true }, ({ gray }) => gray),
  {
    kind: 'blur',
    parse: (token) => prefixedNumber(token, /^blur(?<number>[\d.]+)$/, { min: 0.6, max: 50 }, (blur) => ({ blur })),
    format: ({ blur }) => (blur === undefined ? undefined : `blur${blur}`),
  },
  flag('sharpen', { sharpen: true }, ({ sharpen }) => sharpen),
  flag('still', { still: true }, ({ still }) => still),
]

const QUARTER_TURNS = [90, 180, 270] as const

/** Reads one option in any valid spelling. @throws RequestError `invalid_path` with the reason. */
export function parseOption(token: string): { readonly kind: string; readonly value: SpecOptions } {
  for (const { kind, parse } of KINDS) {
    const value = parse(token)
    if (value !== undefined) return { kind, value }
  }
  const kinds = KINDS.map(({ kind }) => kind).join(', ')
  throw new RequestError('invalid_path', `"${token}" is not an option of a size: there are ${kinds}`)
}

/** The canonical spelling of each option that is given, in canonical order. */
export function formatOptions(options: SpecOptions): string[] {
  return KINDS.flatMap(({ format }) => format(options) ?? [])
}

function flag(kind: string, value: SpecOptions, read: (options: SpecOptions) => true | undefined): OptionKind {
  return {
    kind,
    parse: (token) => (token === kind ? value : undefined),
    format: (options) => (read(options) ? kind : undefined),
  }
}

function parsePosition(token: string): SpecOptions | undefined {
  if (token === 'smart' || token === 'entropy') return { position: token }
  const gravity = GRAVITIES.find((name) => name === token)
  if (gravity) return { position: gravity }
  const { x, y } = /^at(?<x>[\d.]+)x(?<y>[\d.]+)$/.exec(token)?.groups ?? {}
  if (x === undefined || y === undefined) return undefined
  const percent = { min: 0, max: 100 }
  return { position: { x: parseDecimal(x, token, percent), y: parseDecimal(y, token, percent) } }
}

function formatPosition(position: Position | undefined): string | undefined {
  return typeof position === 'object' ? `at${position.x}x${position.y}` : position
}

interface Range {
  readonly min: number
  readonly max: number
}

function prefixedNumber(
  token: string,
  pattern: RegExp,
  range: Range,
  toOption: (value: number) => SpecOptions,
): SpecOptions | undefined {
  const text = pattern.exec(token)?.groups?.['number']
  return text === undefined ? undefined : toOption(parseDecimal(text, token, range))
}

function parseDecimal(text: string, token: string, { min, max }: Range): number {
  const value = Number(text)
  if (!/^(?:\d+\.?\d*|\.\d+)$/.test(text) || value < min || value > max || Math.round(value * 100) / 100 !== value) {
    throw new RequestError(
      'invalid_path',
      `"${token}": ${text} should be a number from ${min} to ${max} with at most two decimal places`,
    )
  }
  return value
}
