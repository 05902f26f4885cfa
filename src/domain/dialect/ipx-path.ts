import { FITS, type Fit, GRAVITIES, type Position } from '../spec/spec-option.ts'
import { cssColour } from '../text/css-colour.ts'
import { invalidPath } from '../text/path-text.ts'
import {
  blurSigma,
  type DialectFormat,
  type DialectRequest,
  dialectFormat,
  malformed,
  notDone,
  numberArgument,
  percentDecode,
  qualityArgument,
  quarterTurn,
  wholeArgument,
} from './dialect.ts'
import { settleSpec, type Wish } from './dialect-spec.ts'

/**
 * Reads a URL of ipx.
 *
 * ```
 * path     = "/" ( "_" / modifier *( ( "," / "&" ) modifier ) ) "/" id
 * modifier = name [ ( "_" / ":" / "=" ) argument ]
 * ```
 *
 * @param target Path below the mount, with its leading slash, as sent, and with the query, which belongs to the image.
 * @throws RequestError `invalid_path` naming the invalid or unsupported part.
 * @see https://github.com/unjs/ipx
 */
export function parseIpxPath(target: string): DialectRequest {
  const { first, id } = /^\/(?<first>[^/]+)\/+(?<id>.+)$/s.exec(target)?.groups ?? {}
  if (first === undefined || id === undefined) {
    throw invalidPath('Malformed path: use /{modifiers}/{image}, with commas between modifiers, or "_" for none')
  }
  const modifiers = first === '_' ? new Map<string, string>() : splitModifiers(first)
  const wish = readIpxModifiers(modifiers)
  const format = readFormat(modifiers)
  // All frames only if requested, or in a GIF. The other animated output format is WebP.
  const still = (format === 'webp' || format === 'negotiated') && !modifiers.has('animated') && !modifiers.has('a')
  return { source: percentDecode(id), spec: settleSpec({ ...wish, still }), format }
}

function splitModifiers(text: string): IpxModifiers {
  return new Map(
    text.split(/[&,]/).map((modifier): [string, string] => {
      const [name = '', ...args] = modifier.split(/[:=_]/)
      return [percentDecode(name), args.map(percentDecode).join('_')]
    }),
  )
}

function readFormat(modifiers: IpxModifiers): DialectFormat {
  const [name, text] = modifiers.get('f') ? ['f', modifiers.get('f')] : ['format', modifiers.get('format')]
  if (text === undefined || text === '') return 'source'
  return text === 'auto' ? 'negotiated' : dialectFormat(text, `${name}_${text}`)
}

/** Modifiers of a URL by name, as spelled; an absent argument is empty. */
export type IpxModifiers = ReadonlyMap<string, string>

/**
 * The effect of the modifiers. ipx applies them in the order of its list, so that the last of several sizes counts: `w`
 * before `s` before `h`.
 *
 * @throws RequestError `invalid_path` naming the invalid or unsupported modifier.
 */
function readIpxModifiers(modifiers: IpxModifiers): Wish {
  for (const [name, argument] of modifiers) {
    if (!NAMES.has(name)) throw notDone(spelled(name, argument))
    if (FLAGS.has(name) && argument !== '' && argument !== 'true' && argument !== '1') {
      throw malformed(spelled(name, argument), `write "${name}" or leave it out`)
    }
  }
  const size = SIZES.find(({ name }) => modifiers.has(name))
  const fit = readFit(modifiers)
  const sizeText = size === undefined ? '' : (modifiers.get(size.name) ?? '')
  const box = size === undefined ? {} : size.read(sizeText, spelled(size.name, sizeText))
  const contained = box.width !== undefined && box.height !== undefined && fit === 'contain'
  const turn = given(modifiers, ['rotate'], (text, option) => (text === '' ? 0 : quarterTurn(text, option))) ?? 0
  const onSide = turn % 180 !== 0
  if (onSide && size?.turns === false) {
    throw notDone(
      spelled('rotate', modifiers.get('rotate') ?? ''),
      `it cannot be combined with "${size.name}", which distorts the image in ipx: use "w" or "s"`,
    )
  }
  return {
    ...box,
    fit,
    position: given(modifiers, ['position', 'pos'], readPosition),
    quality: given(modifiers, ['quality', 'q'], qualityArgument),
    up: modifiers.has('enlarge'),
    background: readBackground(modifiers, contained),
    rotate: turn,
    // sharp mirrors before it rotates: after a quarter turn the axis is the other one.
    flip: modifiers.has(onSide ? 'flop' : 'flip'),
    flop: modifiers.has(onSide ? 'flip' : 'flop'),
    gray: modifiers.has('grayscale'),
    blur: given(modifiers, ['blur'], (text, option) => blurSigma(numberArgument(text, option), option)),
    sharpen: modifiers.has('sharpen'),
  }
}

const FLAGS: ReadonlySet<string> = new Set(['enlarge', 'flip', 'flop', 'grayscale', 'flatten', 'animated', 'a'])
const NAMES: ReadonlySet<string> = new Set(
  'w width h height s resize fit position pos quality q background b rotate blur sharpen format f'
    .split(' ')
    .concat([...FLAGS]),
)

interface SizeModifier {
  readonly name: string
  /** Whether ipx applies it after `rotate`: a later quarter turn distorts. */
  readonly turns: boolean
  read(text: string, option: string): { readonly width?: number; readonly height?: number }
}

/** The modifier that counts first. */
const SIZES: readonly SizeModifier[] = [
  { name: 'width', turns: true, read: (text, option) => ({ width: side(text, option) }) },
  { name: 'w', turns: true, read: (text, option) => ({ width: side(text, option) }) },
  { name: 's', turns: true, read: readBox },
  { name: 'resize', turns: false, read: readBox },
  { name: 'height', turns: false, read: (text, option) => ({ height: side(text, option) }) },
  { name: 'h', turns: false, read: (text, option) => ({ height: side(text, option) }) },
]

function readBox(text: string, option: string): { readonly width: number; readonly height: number } {
  const [widthText = '', heightText = widthText, ...more] = text.split('x')
  if (more.length > 0) throw malformed(option, 'a size should be written as 300x200')
  return { width: side(widthText, option), height: side(heightText, option) }
}

function side(text: string, option: string): number {
  return wholeArgument(text, option, { min: 1, max: 999_999 })
}

function readFit(modifiers: IpxModifiers): Fit {
  const text = modifiers.get('fit')
  if (text === undefined) return 'cover'
  const fit = FITS.find((name) => name === text)
  if (fit === undefined) throw malformed(`fit_${text}`, `the fit should be one of ${FITS.join(', ')}`)
  return fit
}

/** sharp's names of the sides and corners, in the order of `GRAVITIES`. */
const SIDES = [
  'centre',
  'top',
  'right top',
  'right',
  'right bottom',
  'bottom',
  'left bottom',
  'left',
  'left top',
] as const
const COMPASS = [
  'center',
  'north',
  'northeast',
  'east',
  'southeast',
  'south',
  'southwest',
  'west',
  'northwest',
] as const
const NUMBERS = ['0', '1', '5', '2', '6', '3', '7', '4', '8'] as const

function readPosition(text: string, option: string): Position {
  if (text === 'entropy' || text === '16') return 'entropy'
  if (text === 'attention' || text === '17') return 'smart'
  const name = text.replace('-', ' ')
  const index = [SIDES, COMPASS, NUMBERS]
    .map((names) => names.findIndex((known) => known === name))
    .find((found) => found >= 0)
  const gravity = index === undefined ? undefined : GRAVITIES[index]
  if (gravity === undefined) {
    throw malformed(option, `the position should be one of ${[...SIDES, ...COMPASS].join(', ')}, entropy and attention`)
  }
  return gravity
}

/** Only where sharp uses it: around a contained picture, and behind a flattened one; black by default. */
function readBackground(modifiers: IpxModifiers, contained: boolean): string | undefined {
  const background = given(modifiers, ['background', 'b'], (text, option) => {
    const colour = cssColour(text)
    if (colour === undefined)
      throw malformed(option, 'a colour should be a CSS name, or three or six hexadecimal digits')
    return colour
  })
  return contained || modifiers.has('flatten') ? (background ?? '000000') : undefined
}

/** The later of two synonyms counts. */
function given<Value>(
  modifiers: IpxModifiers,
  names: readonly string[],
  read: (text: string, option: string) => Value,
): Value | undefined {
  const name = [...modifiers.keys()].findLast((key) => names.includes(key))
  const text = name === undefined ? undefined : modifiers.get(name)
  return name === undefined || text === undefined ? undefined : read(text, spelled(name, text))
}

function spelled(name: string, argument: string): string {
  return argument === '' ? name : `${name}_${argument}`
}
