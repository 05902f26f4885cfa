import type { OutputFormat } from '../spec/image-format.ts'
import type { FocalPoint } from '../spec/spec-option.ts'
import { cssColour } from '../text/css-colour.ts'
import {
  blurSigma,
  dialectFormat,
  fileNameArgument,
  malformed,
  notDone,
  numberArgument,
  percentOfSide,
  qualityArgument,
  quarterTurn,
  tryPercentDecode,
  wholeArgument,
} from './dialect.ts'

/** The effect of a list of filters; an absent member was not requested. */
export interface FilterEffects {
  readonly format?: OutputFormat
  readonly quality?: number
  /** `rrggbb`: behind transparent pixels. */
  readonly background?: string
  /** Whether the rest of a `fit-in` box is filled: with `background`, or transparent. */
  readonly filled?: true
  readonly gray?: true
  readonly blur?: number
  readonly sharpen?: true
  readonly still?: true
  /** Degrees clockwise, before everything else. */
  readonly orient?: number
  /** Degrees clockwise, after everything else. */
  readonly rotate?: number
  readonly focus?: FocalPoint
  /** `upscale()` or `no_upscale()`, whichever comes last. */
  readonly up?: boolean
  readonly stretch?: true
  /** Seconds since 1970. */
  readonly expires?: number
  readonly attachment?: true
  readonly fileName?: string
}

interface Call {
  /** As spelled in the URL, for messages. */
  readonly text: string
  readonly name: string
  readonly args: readonly string[]
}

/**
 * Reads `f(args):f(args)…/` of thumbor and imagor, up to the final slash.
 *
 * @param text Text after `filters:`.
 * @returns The effects, and the text after the slash.
 * @throws RequestError `invalid_path` naming the invalid or unsupported filter.
 */
export function parseThumborFilters(text: string): { readonly effects: FilterEffects; readonly rest: string } {
  let effects: FilterEffects = {}
  let rest = text
  while (true) {
    const { call, end } = readCall(rest)
    effects = applyFilter(effects, call)
    const separator = rest.charAt(end)
    rest = rest.slice(end + 1)
    if (separator === '/') return { effects, rest }
    if (separator !== ':')
      throw malformed(`filters:${text}`, 'a filter should be followed by ":" and another filter, or by "/"')
  }
}

/** Parentheses nest: filters of imagor accept paths as arguments. */
function readCall(text: string): { readonly call: Call; readonly end: number } {
  const name = /^[a-z0-9_]+(?=\()/i.exec(text)?.[0]
  if (name === undefined) throw malformed(`filters:${text}`, 'a filter should be a name and arguments in parentheses')
  let depth = 0
  for (let index = name.length; index < text.length; index += 1) {
    if (text[index] === '(') depth += 1
    if (text[index] === ')') depth -= 1
    if (depth === 0) {
      const args = text.slice(name.length + 1, index)
      const call = { text: `${name}(${args})`, name: name.toLowerCase(), args: args === '' ? [] : args.split(',') }
      return { call, end: index + 1 }
    }
  }
  throw malformed(`filters:${text}`, 'a closing parenthesis is missing')
}

function applyFilter(effects: FilterEffects, call: Call): FilterEffects {
  const read = FILTERS.get(call.name)
  if (read === undefined) throw notDone(call.text)
  return { ...effects, ...read(call, effects) }
}

type ReadFilter = (call: Call, before: FilterEffects) => FilterEffects

/**
 * Metadata is always stripped and colours are converted to sRGB; there is no result storage that `preview` could skip.
 */
const NO_EFFECT: ReadFilter = () => ({})

const FILTERS: ReadonlyMap<string, ReadFilter> = new Map<string, ReadFilter>([
  ['quality', ({ args, text }) => ({ quality: qualityArgument(argument(args, 0), text) })],
  ['format', ({ args, text }) => ({ format: dialectFormat(argument(args, 0), text) })],
  ['fill', readFill],
  ['background_color', ({ args, text }) => ({ background: colour(argument(args, 0), text) })],
  ['blur', readBlur],
  ['sharpen', ({ args, text }) => (numberArgument(argument(args, 0), text) > 0 ? { sharpen: true } : {})],
  ['grayscale', () => ({ gray: true })],
  // Counter-clockwise, as in Pillow, and after resizing.
  ['rotate', ({ args, text }, { rotate = 0 }) => ({ rotate: (rotate + counterClockwise(args, text)) % 360 })],
  ['orient', ({ args, text }) => ({ orient: counterClockwise(args, text) })],
  ['focal', readFocal],
  ['upscale', () => ({ up: true })],
  ['no_upscale', () => ({ up: false })],
  ['stretch', () => ({ stretch: true })],
  ['cover', () => ({ still: true })],
  ['max_frames', readMaxFrames],
  ['expire', readExpire],
  ['attachment', readAttachment],
  ['to_colorspace', readColourSpace],
  ['srgb', NO_EFFECT],
  ['preview', NO_EFFECT],
  ['strip_icc', NO_EFFECT],
  ['strip_exif', NO_EFFECT],
  ['strip_metadata', NO_EFFECT],
])

function readFill({ args, text }: Call): FilterEffects {
  const name = argument(args, 0)
  if (name === 'transparent' || name === 'none') return { filled: true }
  if (name === 'blur' || name === 'auto') throw notDone(text, 'use a colour')
  return { filled: true, background: colour(name, text) }
}

function readBlur({ args, text }: Call, before: FilterEffects): FilterEffects {
  if (before.blur !== undefined) throw notDone(text, 'specify blur once')
  const radius = numberArgument(argument(args, 0), text)
  const given = args[1] === undefined ? 0 : numberArgument(args[1], text)
  if (radius < 0 || given < 0) throw malformed(text, 'the radius should not be negative')
  if (radius > MAX_BLUR_RADIUS) throw notDone(text, `the maximum radius is ${MAX_BLUR_RADIUS}`)
  const blur = blurSigma(kernelDeviation(radius, given === 0 ? radius : given), text)
  return blur === undefined ? {} : { blur }
}

/** The limit of thumbor. */
const MAX_BLUR_RADIUS = 150

/**
 * The effective sigma of a Gaussian that is cut off at a radius. thumbor cuts at the sigma by default, which leaves a
 * little more than half of it.
 */
function kernelDeviation(radius: number, sigma: number): number {
  if (radius < 1) return 0
  let weights = 0
  let squares = 0
  for (let distance = -Math.floor(radius); distance <= radius; distance += 1) {
    const weight = Math.exp(-(distance ** 2) / (2 * sigma ** 2))
    weights += weight
    squares += weight * distance ** 2
  }
  return Math.sqrt(squares / weights)
}

/** A point, or a rectangle whose centre counts, in fractions of the picture as in imagor. */
function readFocal({ args, text }: Call, before: FilterEffects): FilterEffects {
  if (before.focus !== undefined) throw notDone(text, 'specify one focal point')
  const parts = args.join(',').split(/[x,:]/)
  if (parts.length !== 2 && parts.length !== 4)
    throw malformed(text, 'a focal area should be a point or a rectangle, as in 0.1x0.2:0.5x0.6')
  // Pixels would need the size of the original, which is unknown here. Only 0 and 1 are valid as both.
  if (parts.every((part) => /^\d+$/.test(part)) && parts.some((part) => part !== '0' && part !== '1')) {
    throw notDone(text, 'specify the focal point in fractions of the image from 0 to 1, not in pixels')
  }
  const [left = 0, top = 0, right = left, bottom = top] = parts.map((part) => percentOfSide(part, text))
  return { focus: { x: middle(left, right), y: middle(top, bottom) } }
}

function middle(from: number, to: number): number {
  return Math.round((from + to) * 50) / 100
}

function readMaxFrames({ args, text }: Call): FilterEffects {
  if (argument(args, 0) !== '1')
    throw notDone(text, 'use max_frames(1) for a still image, or omit the filter for all frames')
  return { still: true }
}

function readAttachment({ args, text }: Call): FilterEffects {
  const name = argument(args, 0)
  return { attachment: true, ...(name !== '' && { fileName: fileNameArgument(name, text) }) }
}

/** The URL has milliseconds. */
function readExpire({ args, text }: Call): FilterEffects {
  const milliseconds = wholeArgument(argument(args, 0), text, { min: 1, max: 999_999_999_999_999 })
  return { expires: Math.floor(milliseconds / 1000) }
}

function readColourSpace({ args, text }: Call): FilterEffects {
  if (args[0] !== undefined && args[0].toLowerCase() !== 'srgb')
    throw notDone(text, 'the only supported colour profile is srgb')
  return {}
}

function counterClockwise(args: readonly string[], text: string): number {
  return (360 - quarterTurn(argument(args, 0), text)) % 360
}

function colour(text: string, option: string): string {
  const found = cssColour(text)
  if (found === undefined) throw malformed(option, 'a colour should be a CSS name, or three or six hexadecimal digits')
  return found
}

function argument(args: readonly string[], index: number): string {
  const text = (args[index] ?? '').trim()
  return tryPercentDecode(text) ?? text
}
