import { isUrlFormat } from './image-format.ts'

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

/** A point of the picture that stays visible, in percent of its width and height from the top left. */
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
  /** Sigma of a Gaussian blur in CSS pixels, 0.6-50: less has no effect. */
  readonly blur?: number
  readonly sharpen?: true
  /** Only the first frame. */
  readonly still?: true
}

/** The error of an option, for the client. */
export interface SpecMistake {
  readonly reason: string
  /** The correct spelling; omitted if the message suggests a whole spec. */
  readonly usage?: string
}

interface OptionKind {
  readonly kind: string
  /** Matches the tokens of this kind; absent: they are a few words. */
  readonly form?: RegExp
  /** Name and spelling of such a token, for messages. */
  readonly usage?: { readonly name: string; readonly write: string }
  /** @returns undefined if the token is not of this kind. */
  parse(token: string): SpecOptions | undefined
  format(options: SpecOptions): string | undefined
}

const QUARTER_TURNS = [90, 180, 270] as const
const DECIMAL_PLACES = 'with at most two decimal places'

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
  {
    kind: 'position',
    form: /^at(?![a-z])/,
    usage: {
      name: 'focal point',
      write: `write two numbers from 0 to 100 ${DECIMAL_PLACES}, as in at30x70`,
    },
    parse: parsePosition,
    format: ({ position }) => formatPosition(position),
  },
  {
    kind: 'x',
    form: /^[^a-z]*x$/,
    usage: { name: 'pixel ratio', write: `write a number from 0.5 to 4 ${DECIMAL_PLACES}, as in 1.5x` },
    parse: (token) => {
      const dpr = numberIn(token, /^(?<number>[\d.]+)x$/, { min: 0.5, max: 4 })
      return dpr === undefined ? undefined : { dpr }
    },
    format: ({ dpr }) => (dpr === undefined ? undefined : `${dpr}x`),
  },
  {
    kind: 'q',
    form: /^q(?![a-z])/,
    usage: { name: 'quality', write: 'write an integer from 1 to 100, as in q80' },
    parse: (token) => {
      const quality = numberIn(token, /^q(?<number>\d+)$/, { min: 1, max: 100 })
      return quality === undefined ? undefined : { quality }
    },
    format: ({ quality }) => (quality === undefined ? undefined : `q${quality}`),
  },
  flag('up', { up: true }, ({ up }) => up),
  {
    kind: 'bg',
    form: /^bg/,
    usage: { name: 'background', write: 'write six hexadecimal digits, as in bgff8800' },
    parse: (token) => (/^bg[0-9a-f]{6}$/.test(token) ? { background: token.slice(2) } : undefined),
    format: ({ background }) => (background === undefined ? undefined : `bg${background}`),
  },
  {
    kind: 'rot',
    form: /^rot/,
    usage: { name: 'rotation', write: 'write rot90, rot180 or rot270' },
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
    form: /^blur/,
    usage: { name: 'blur', write: `write a number from 0.6 to 50 ${DECIMAL_PLACES}, as in blur5` },
    parse: (token) => {
      const blur = numberIn(token, /^blur(?<number>[\d.]+)$/, { min: 0.6, max: 50 })
      return blur === undefined ? undefined : { blur }
    },
    format: ({ blur }) => (blur === undefined ? undefined : `blur${blur}`),
  },
  flag('sharpen', { sharpen: true }, ({ sharpen }) => sharpen),
  flag('still', { still: true }, ({ still }) => still),
]

const USAGE =
  `write ${FITS.join(', ')}, ${GRAVITIES.join(', ')}, smart, entropy, at30x70, ` +
  '2x, q80, up, bgff8800, rot90, flip, flop, gray, blur5, sharpen or still'

/** Reads one option in any valid spelling. @param token In lower case. */
export function readOption(
  token: string,
): { readonly kind: string; readonly value: SpecOptions } | { readonly mistake: SpecMistake } {
  for (const { kind, parse } of KINDS) {
    const value = parse(token)
    if (value !== undefined) return { kind, value }
  }
  if (isUrlFormat(token) || token === 'jpeg') {
    return {
      mistake: { reason: `"${token}" is a format, not an option: write it as the extension, as in 400w.webp` },
    }
  }
  const { name, write } = KINDS.find(({ form }) => form?.test(token))?.usage ?? {}
  if (name === undefined || write === undefined)
    return { mistake: { reason: `"${token}" is not an option`, usage: USAGE } }
  return { mistake: { reason: `"${token}" is not a ${name}: ${write}` } }
}

/** The canonical spelling of each given option, in canonical order. */
export function formatOptions(options: SpecOptions): string[] {
  const texts: string[] = []
  // `flatMap` made an array for each kind, a twentieth of the time of a hit.
  for (const { format } of KINDS) {
    const text = format(options)
    if (text !== undefined) texts.push(text)
  }
  return texts
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
  const percent = { min: 0, max: 100 }
  const x = numberIn(token, /^at(?<number>[\d.]+)x[\d.]+$/, percent)
  const y = numberIn(token, /^at[\d.]+x(?<number>[\d.]+)$/, percent)
  return x === undefined || y === undefined ? undefined : { position: { x, y } }
}

function formatPosition(position: Position | undefined): string | undefined {
  return typeof position === 'object' ? `at${position.x}x${position.y}` : position
}

/**
 * The decimal number in a token. @returns undefined if there is none, if it is out of range, or if it has too many
 * decimals.
 */
function numberIn(token: string, pattern: RegExp, { min, max }: { readonly min: number; readonly max: number }) {
  const text = pattern.exec(token)?.groups?.['number'] ?? ''
  const value = Number(text)
  const isRight = /^(?:\d+\.?\d*|\.\d+)$/.test(text) && value >= min && value <= max
  return isRight && Math.round(value * 100) / 100 === value ? value : undefined
}
