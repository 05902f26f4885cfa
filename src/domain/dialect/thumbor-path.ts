import { isOneOf } from '../access/signature.ts'
import type { Spec } from '../spec/spec.ts'
import { type Fit, GRAVITIES, type Position } from '../spec/spec-option.ts'
import { invalidPath } from '../text/path-text.ts'
import {
  base64Decode,
  type DialectRequest,
  malformed,
  notDone,
  percentDecode,
  signatureInvalid,
  type ThumborSigning,
  thumborSignatures,
  tryPercentDecode,
} from './dialect.ts'
import { mirroredAfter, settleSpec, turnedAfter, type Wish } from './dialect-spec.ts'
import { type FilterEffects, parseThumborFilters } from './thumbor-filters.ts'

export interface ThumborSettings extends ThumborSigning {
  /** Whether `/unsafe/…` is served. */
  readonly unsafe: boolean
}

/**
 * Reads a URL of thumbor or imagor.
 *
 * ```
 * path    = "/" ( signature | "unsafe" ) "/" [ trim ] [ crop ] [ fit "/" ] [ "stretch/" ] [ size "/" ] [ padding ]
 *           [ halign "/" ] [ valign "/" ] [ "smart/" ] [ "filters:" filter *( ":" filter ) "/" ] image
 * fit     = [ "adaptive-" ] [ "full-" ] "fit-in"       ; without it both sides crop
 * size    = [ "-" ] [ w ] "x" [ "-" ] [ h ]            ; 0 or nothing: by the other side; "-" mirrors
 * halign  = "left" | "center" | "right"                valign = "top" | "middle" | "bottom"
 * image   = text | "b64:" base64url
 * ```
 *
 * Where the two differ, imagor's extensions count. A box enlarges, `fit-in` does not; the filters `upscale` and
 * `no_upscale` change that.
 *
 * @param target Path below the mount, with its leading slash, as sent, and with the query, which belongs to the image.
 * @throws RequestError `invalid_path` naming the invalid or unsupported part, `signature_invalid`.
 * @see https://thumbor.readthedocs.io/en/latest/usage.html
 */
export function parseThumborPath(target: string, settings: ThumborSettings): DialectRequest {
  const { first, rest } = /^\/+(?<first>[^/]*)\/(?<rest>.*)$/s.exec(target)?.groups ?? {}
  if (first === undefined || rest === undefined) {
    throw invalidPath('Malformed path: use /unsafe/{options}/{image} or /{signature}/{options}/{image}')
  }
  if (first === 'params') throw notDone('params/')
  const { text, decoded } = acceptedText(first, rest, settings)
  const { parts, effects, image } = readParts(text)
  return {
    source: readImage(image, decoded),
    spec: readSpec(parts, effects),
    format: effects.format ?? 'source',
    ...(effects.expires !== undefined && { expires: effects.expires }),
    ...(effects.attachment && { attachment: true }),
    ...(effects.fileName !== undefined && { fileName: effects.fileName }),
  }
}

interface AcceptedText {
  readonly text: string
  readonly decoded: boolean
}

/** The signed text is the parsed text: as sent, or decoded once, since clients encode URLs. */
function acceptedText(first: string, rest: string, settings: ThumborSettings): AcceptedText {
  if (first === 'unsafe') {
    if (!settings.unsafe) throw signatureInvalid('Unsigned URLs ("unsafe") are disabled: sign the URL')
    return { text: rest, decoded: false }
  }
  const given = percentDecode(first)
  if (isOneOf(given, thumborSignatures(rest, settings))) return { text: rest, decoded: false }
  const decoded = tryPercentDecode(rest)
  if (decoded !== undefined && isOneOf(given, thumborSignatures(decoded, settings)))
    return { text: decoded, decoded: true }
  throw signatureInvalid()
}

const PARTS =
  /^(?:(?<debug>debug)\/)?(?:(?<meta>meta)\/)?(?:(?<trim>trim(?::[^/]*)?)\/)?(?:(?<crop>[\d.]+x[\d.]+:[\d.]+x[\d.]+)\/)?(?:(?<adaptive>adaptive-)?(?<full>full-)?(?<fitIn>fit-in)\/)?(?:(?<stretch>stretch)\/)?(?<size>(?<flop>-)?(?<width>\d+|orig)?x(?<flip>-)?(?<height>\d+|orig)?\/)?(?:(?<padding>\d+x\d+(?::\d+x\d+)?)\/)?(?:(?<halign>left|right|center)\/)?(?:(?<valign>top|bottom|middle)\/)?(?:(?<smart>smart)\/)?(?<rest>.*)$/s
/** `npm run docs` writes it into the rules of HAProxy. */
export const THUMBOR_PARTS_PATTERN = PARTS.source

type Parts = Readonly<Record<string, string | undefined>>

function readParts(text: string): { readonly parts: Parts; readonly effects: FilterEffects; readonly image: string } {
  const parts: Parts = PARTS.exec(text)?.groups ?? {}
  for (const name of ['debug', 'meta', 'trim'] as const) {
    const given = parts[name]
    if (given !== undefined) throw notDone(given)
  }
  for (const name of ['crop', 'padding'] as const) {
    const given = parts[name]
    if (given !== undefined && /[1-9]/.test(given)) throw notDone(given, `remove the ${name}`)
  }
  const rest = parts['rest'] ?? ''
  if (!rest.startsWith('filters:')) return { parts, effects: {}, image: rest }
  const { effects, rest: image } = parseThumborFilters(rest.slice('filters:'.length))
  return { parts, effects, image }
}

function readImage(text: string, decoded: boolean): string {
  if (text.startsWith('color:')) throw notDone(text, 'specify an image instead of a colour')
  const image = text.startsWith('b64:') ? base64Decode(text.slice('b64:'.length)) : decoded ? text : percentDecode(text)
  if (image === '') throw invalidPath('The image is missing: specify it at the end of the path')
  return image
}

function readSpec(parts: Parts, effects: FilterEffects): Spec {
  const { width, height } = readSize(parts)
  const fit = readFit(parts, effects)
  if (parts['adaptive'] !== undefined && width !== 0 && height !== 0 && width !== height) {
    throw notDone('adaptive-fit-in', 'the box cannot be rotated to the orientation of the original; use fit-in')
  }
  const wish: Wish = {
    width,
    height,
    fit,
    position: readPosition(parts, effects),
    up: effects.up ?? (parts['fitIn'] === undefined || parts['full'] !== undefined),
    rotate: effects.orient,
    quality: effects.quality,
    background: effects.background,
    gray: effects.gray,
    blur: effects.blur,
    sharpen: effects.sharpen,
    still: effects.still,
  }
  const mirrored = mirroredAfter(wish, { flip: parts['flip'] !== undefined, flop: parts['flop'] !== undefined })
  return settleSpec(turnedAfter(mirrored, effects.rotate ?? 0))
}

function readSize({ size, width = '0', height = '0' }: Parts): { readonly width: number; readonly height: number } {
  if (width === 'orig' && height === 'orig') return { width: 0, height: 0 }
  if (width === 'orig' || height === 'orig') throw notDone(size?.slice(0, -1) ?? 'orig', 'specify both sides in pixels')
  if (width.length > 6 || height.length > 6)
    throw malformed(`${width}x${height}`, 'a side should have at most six digits')
  return { width: Number(width), height: Number(height) }
}

function readFit({ fitIn, full, stretch }: Parts, effects: FilterEffects): Fit {
  if (fitIn !== undefined) return full !== undefined ? 'outside' : effects.filled ? 'contain' : 'inside'
  return stretch !== undefined || effects.stretch ? 'fill' : 'cover'
}

function readPosition({ smart, halign, valign, fitIn }: Parts, { focus }: FilterEffects): Position | undefined {
  // The padding of a box is the same on both sides.
  if (fitIn !== undefined) return undefined
  if (focus !== undefined) return focus
  if (smart !== undefined) return 'smart'
  const vertical = valign === 'middle' ? '' : (valign ?? '')
  const horizontal = halign === 'center' ? '' : (halign ?? '')
  return GRAVITIES.find((name) => name === `${vertical}${horizontal}`)
}
