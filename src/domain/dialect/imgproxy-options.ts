import type { OutputFormat } from '../spec/image-format.ts'
import type { Gravity, Position } from '../spec/spec-option.ts'
import { cssColour } from '../text/css-colour.ts'
import {
  base64Decode,
  blurSigma,
  dialectFormat,
  fileNameArgument,
  malformed,
  notDone,
  numberArgument,
  percentOfSide,
  qualityArgument,
  quarterTurn,
  wholeArgument,
} from './dialect.ts'

const RESIZING_TYPES = ['fit', 'fill', 'fill-down', 'force', 'auto'] as const
export type ResizingType = (typeof RESIZING_TYPES)[number]

export interface ImgproxyGravity {
  readonly position: Position
  /** As spelled in the URL, if it has an offset: unsupported, but without effect if nothing is cropped. */
  readonly moved?: string
}

/** The effective options; an absent member has imgproxy's default. */
export interface ImgproxyOptions {
  readonly type?: ResizingType
  readonly width?: number
  readonly height?: number
  readonly dpr?: number
  readonly enlarge?: boolean
  readonly extend?: boolean
  readonly extendGravity?: ImgproxyGravity
  readonly gravity?: ImgproxyGravity
  readonly rotate?: number
  readonly flipHorizontal?: boolean
  readonly flipVertical?: boolean
  readonly background?: string | undefined
  readonly blur?: number | undefined
  readonly sharpen?: boolean
  readonly quality?: number | undefined
  readonly format?: OutputFormat
  readonly expires?: number | undefined
  readonly fileName?: string
  readonly attachment?: boolean
}

/**
 * Reads one option such as `rs:fill:300:200`; a later option replaces an earlier one of the same kind.
 * @throws RequestError `invalid_path` naming the invalid or unsupported option.
 */
export function readImgproxyOption(text: string): ImgproxyOptions {
  const [name = '', ...args] = text.split(':')
  const read = OPTIONS.get(name)
  if (read !== undefined) return read(args, text)
  if (!DORMANT.get(name)?.(args)) throw notDone(text)
  return {}
}

type ReadOption = (args: readonly string[], text: string) => ImgproxyOptions

const OPTIONS: ReadonlyMap<string, ReadOption> = named<ReadOption>([
  ['resize rs', readResize],
  ['size s', readSize],
  ['resizing_type rt', ([type = ''], text) => ({ type: resizingType(type, text) })],
  ['width w', ([width = ''], text) => ({ width: side(width, text) })],
  ['height h', ([height = ''], text) => ({ height: side(height, text) })],
  ['dpr', readDpr],
  ['enlarge el', ([on = ''], text) => ({ enlarge: flag(on, text) })],
  ['extend ex', readExtend],
  ['gravity g', (args, text) => ({ gravity: readGravity(args, text) })],
  ['rotate rot', ([degrees = ''], text) => ({ rotate: quarterTurn(degrees, text) })],
  ['flip fl', readFlip],
  ['background bg', readBackground],
  ['blur bl', ([sigma = ''], text) => ({ blur: blurSigma(numberArgument(sigma, text), text) })],
  ['sharpen sh', ([sigma = ''], text) => ({ sharpen: numberArgument(sigma, text) > 0 })],
  ['quality q', ([quality = ''], text) => ({ quality: quality === '0' ? undefined : qualityArgument(quality, text) })],
  ['format f ext', ([format = ''], text) => ({ format: dialectFormat(format, text) })],
  ['expires exp', readExpires],
  ['filename fn', readFileName],
  ['return_attachment att', ([on = ''], text) => ({ attachment: flag(on, text) })],
])

/** Unsupported options, with the arguments that disable them; and options for the default behaviour. */
const DORMANT: ReadonlyMap<string, (args: readonly string[]) => boolean> = named<(args: readonly string[]) => boolean>([
  ['cachebuster cb', () => true],
  ['strip_metadata sm keep_copyright kcr strip_color_profile scp auto_rotate ar', ([on = '']) => TRUE.has(on)],
  ['min-width mw min-height mh pixelate pix max_bytes mb watermark wm crop c padding pd', (args) => args.every(isZero)],
  ['zoom z', (args) => args.every((arg) => Number(arg) === 1)],
  ['extend_aspect_ratio extend_ar exar enforce_thumbnail eth raw', ([on = '']) => FALSE.has(on)],
])

function isZero(arg: string): boolean {
  return arg === '' || Number(arg) === 0
}

function readResize([type = '', ...size]: readonly string[], text: string): ImgproxyOptions {
  return { ...(type !== '' && { type: resizingType(type, text) }), ...readSize(size, text) }
}

function readSize(
  [width = '', height = '', enlarge = '', ...extend]: readonly string[],
  text: string,
): ImgproxyOptions {
  return {
    ...(width !== '' && { width: side(width, text) }),
    ...(height !== '' && { height: side(height, text) }),
    ...(enlarge !== '' && { enlarge: flag(enlarge, text) }),
    ...(extend[0] !== undefined && extend[0] !== '' && readExtend(extend, text)),
  }
}

function readExtend([on = '', ...gravity]: readonly string[], text: string): ImgproxyOptions {
  const extendGravity = gravity[0] === undefined || gravity[0] === '' ? undefined : readGravity(gravity, text)
  return { extend: flag(on, text), ...(extendGravity !== undefined && { extendGravity }) }
}

function readDpr([dpr = '']: readonly string[], text: string): ImgproxyOptions {
  const value = numberArgument(dpr, text)
  if (value <= 0) throw malformed(text, 'it should be greater than 0')
  if (value < 0.5 || value > 4) throw notDone(text, 'it should be from 0.5 to 4')
  return { dpr: value }
}

const COMPASS: ReadonlyMap<string, Gravity> = new Map([
  ['ce', 'center'],
  ['no', 'top'],
  ['noea', 'topright'],
  ['ea', 'right'],
  ['soea', 'bottomright'],
  ['so', 'bottom'],
  ['sowe', 'bottomleft'],
  ['we', 'left'],
  ['nowe', 'topleft'],
])

function readGravity([type = '', x = '', y = '', ...more]: readonly string[], text: string): ImgproxyGravity {
  if (more.length > 0) throw malformed(text, 'a gravity should be a type and at most two numbers')
  if (type === 'sm') return { position: 'smart' }
  if (type === 'fp') return { position: { x: percentOfSide(x, text), y: percentOfSide(y, text) } }
  const position = COMPASS.get(type)
  if (position === undefined)
    throw notDone(text, `the gravity should be one of ${[...COMPASS.keys()].join(', ')}, sm and fp`)
  const moved = [x, y].some((offset) => offset !== '' && numberArgument(offset, text) !== 0)
  return { position, ...(moved && { moved: text }) }
}

function readFlip([horizontal = '', vertical = '']: readonly string[], text: string): ImgproxyOptions {
  return {
    ...(horizontal !== '' && { flipHorizontal: flag(horizontal, text) }),
    ...(vertical !== '' && { flipVertical: flag(vertical, text) }),
  }
}

function readBackground(args: readonly string[], text: string): ImgproxyOptions {
  if (args.length === 3) {
    const channels = args.map((channel) => wholeArgument(channel, text, { min: 0, max: 255 }))
    return { background: channels.map((channel) => channel.toString(16).padStart(2, '0')).join('') }
  }
  const [colour = ''] = args
  if (colour === '') return { background: undefined }
  const background = /^[0-9a-f]+$/i.test(colour) ? cssColour(colour) : undefined
  if (background === undefined)
    throw malformed(text, 'a colour should be three numbers from 0 to 255, or hexadecimal digits')
  return { background }
}

function readExpires([seconds = '']: readonly string[], text: string): ImgproxyOptions {
  const expires = wholeArgument(seconds, text, { min: 0, max: 999_999_999_999_999 })
  return { expires: expires === 0 ? undefined : expires }
}

function readFileName([name = '', encoded = '']: readonly string[], text: string): ImgproxyOptions {
  return { fileName: fileNameArgument(encoded !== '' && flag(encoded, text) ? base64Decode(name) : name, text) }
}

function resizingType(text: string, option: string): ResizingType {
  const type = RESIZING_TYPES.find((name) => name === text)
  if (type === undefined) throw malformed(option, `the resizing type should be one of ${RESIZING_TYPES.join(', ')}`)
  return type
}

function side(text: string, option: string): number {
  return wholeArgument(text, option, { min: 0, max: 999_999 })
}

/** The values of Go's `strconv.ParseBool`; imgproxy treats anything else as false. */
const TRUE: ReadonlySet<string> = new Set(['1', 't', 'T', 'true', 'TRUE', 'True'])
const FALSE: ReadonlySet<string> = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False'])

function flag(text: string, option: string): boolean {
  if (TRUE.has(text)) return true
  if (FALSE.has(text)) return false
  throw malformed(option, `"${text}" should be 1 or 0`)
}

function named<Value>(entries: readonly (readonly [names: string, value: Value])[]): ReadonlyMap<string, Value> {
  return new Map(entries.flatMap(([names, value]) => names.split(' ').map((name) => [name, value] as const)))
}
