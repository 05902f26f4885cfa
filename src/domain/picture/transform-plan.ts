import { RequestError } from '../../errors.ts'
import { canAnimate, type InputFormat, type OutputFormat } from '../spec/image-format.ts'
import { defaultFit, deviceBox, type Spec } from '../spec/spec.ts'
import type { Position } from '../spec/spec-option.ts'
import { type Encoding, type EncodingWish, encodingCost, planEncoding } from './encoding.ts'
import {
  combineOrientation,
  displayedSize,
  type Orientation,
  type OriginalFacts,
  type Size,
  turnsOnSide,
} from './original-facts.ts'
import { type DrawnPicture, encodingBytes } from './render-memory.ts'

/** A rectangle in device pixels. */
export interface Area extends Size {
  readonly left: number
  readonly top: number
}

/** A rectangle of this size, at the most salient position. */
export interface InterestArea extends Size {
  readonly interest: 'smart' | 'entropy'
}

/** A spec resolved against a real original. Device pixels; steps in the order of the fields. */
export interface Plan {
  /** All frames, or the first only. */
  readonly animated: boolean
  readonly orientation: Orientation
  /** As in `OriginalFacts`. */
  readonly deepProfile?: true
  /** Size of the whole picture after orientation, before cropping. */
  readonly resize: Size
  /** The part to keep: a rectangle, or a size at the most salient position. */
  readonly crop?: Area | InterestArea
  /** The larger canvas, and the position on it. */
  readonly pad?: Area
  /** `rrggbb`: replaces transparency. */
  readonly background?: string
  readonly gray: boolean
  /** Sigma in device pixels. */
  readonly blur?: number
  readonly sharpen: boolean
  readonly encoding: Encoding
  /** Whether the original is a drawing: an SVG. */
  readonly drawing?: true
  /** Estimated memory, bytes. */
  readonly memoryBytes: number
}

/**
 * Plans the steps from an original to the rendition of a spec.
 *
 * @param maxSide Maximum side of a rendition, device pixels: `full` and one-sided boxes of huge originals shrink to it.
 * @throws RequestError `invalid_path` if the frames of an animation are too large in total.
 */
export function planTransform(spec: Spec, original: OriginalFacts, format: OutputFormat, maxSide: number): Plan {
  const orientation = combineOrientation(original.orientation, spec)
  const upright = displayedSize(original)
  const turned = spec.rotate === 90 || spec.rotate === 270
  const picture = turned ? { width: upright.height, height: upright.width } : upright
  // A drawing is drawn at the requested size; `full` is the size in the file.
  const boxed = original.format === 'svg' && spec.size.kind !== 'full' ? { ...spec, up: true as const } : spec
  const density = effectiveDensity(boxed, picture, maxSide)
  const canvas = planCanvas(boxed, picture, { density, maxSide })
  // A format without transparency needs a background; others only if the spec names one.
  const background = spec.background ?? (format === 'jpg' ? 'ffffff' : undefined)
  const animated = original.frames > 1 && canAnimate(format) && !spec.still
  if (animated) assertAnimationLimit(canvas, original, maxSide)
  return {
    animated,
    orientation,
    ...(original.deepProfile && { deepProfile: true }),
    ...(original.format === 'svg' && { drawing: true }),
    ...canvas,
    ...(background !== undefined && { background }),
    gray: spec.gray ?? false,
    ...(spec.blur !== undefined && { blur: Math.max(0.3, spec.blur * density) }),
    sharpen: spec.sharpen ?? false,
    encoding: planEncoding(format, encodingWish(spec, canvas, animated ? original.frames : 1)),
    memoryBytes:
      (original.decodingBytes ?? 0) +
      encodingBytes(drawnPicture(canvas, format, animated ? original.frames : 1), original.format),
  }
}

function drawnPicture(canvas: Canvas, format: OutputFormat, frames: number): DrawnPicture {
  return { size: plannedSize(canvas), whole: canvas.resize, frames, format }
}

/** The same picture with slower encoder settings for fewer bytes, for rendering in advance. */
export function withoutHurry(plan: Plan, spec: Spec, frames: number): Plan {
  const wish = { ...encodingWish(spec, plan, plan.animated ? frames : 1), primed: true }
  return { ...plan, encoding: planEncoding(plan.encoding.format, wish) }
}

function encodingWish({ quality }: Spec, canvas: Canvas, frames: number): EncodingWish {
  const { width, height } = plannedSize(canvas)
  return { pixels: width * height * frames, ...(quality !== undefined && { quality }) }
}

/** Size of the finished rendition, device pixels. */
export function plannedSize({ resize, crop, pad }: Pick<Plan, 'resize' | 'crop' | 'pad'>): Size {
  const { width, height } = pad ?? crop ?? resize
  return { width, height }
}

/** Size of the whole picture after rotation and before resizing. */
export function turnedPicture({ stored }: OriginalFacts, { orientation }: Pick<Plan, 'orientation'>): Size {
  return turnsOnSide(orientation) ? { width: stored.height, height: stored.width } : stored
}

/** `resize` in the orientation of the stored pixels. */
export function sizeBeforeTurn({ resize, orientation }: Pick<Plan, 'resize' | 'orientation'>): Size {
  return turnsOnSide(orientation) ? { width: resize.height, height: resize.width } : resize
}

/** An enlarged or padded animation may have at most as many pixels, over all frames, as the largest still picture. */
function assertAnimationLimit(canvas: Canvas, { stored, frames }: OriginalFacts, maxSide: number): void {
  const { width, height } = plannedSize(canvas)
  const pixels = Math.max(width * height, canvas.resize.width * canvas.resize.height)
  if (pixels <= Math.max(stored.width * stored.height, maxSide ** 2 / frames)) return
  throw new RequestError(
    'invalid_path',
    `${frames} frames of ${width}x${height} exceed the limit of pixels: add the option "still"`,
  )
}

type Canvas = Pick<Plan, 'resize' | 'crop' | 'pad'>

/**
 * Effective device pixels per CSS pixel: as in the spec, but limited by the original's size in the box, and at least
 * one. So `2x` of a small original equals its `1x`.
 */
function effectiveDensity(spec: Spec, picture: Size, maxSide: number): number {
  const { dpr = 1 } = spec
  if (dpr <= 1 || spec.up) return dpr
  const { width = Infinity, height = Infinity } = deviceBox({ ...spec, dpr: 1 })
  const scales = [width / picture.width, height / picture.height].filter(Number.isFinite)
  const fit = spec.fit ?? defaultFit(spec.size)
  const atOne = fit === 'inside' || fit === 'contain' ? Math.min(...scales) : Math.max(...scales)
  return Math.min(dpr, Math.max(1, largestScale(spec, picture, maxSide) / atOne))
}

function largestScale({ up }: Spec, picture: Size, maxSide: number): number {
  return Math.min(up ? Infinity : 1, maxSide / picture.width, maxSide / picture.height)
}

interface CanvasLimits {
  readonly density: number
  readonly maxSide: number
}

function planCanvas(spec: Spec, picture: Size, { density, maxSide }: CanvasLimits): Canvas {
  const { width, height } = deviceBox(spec)
  const fit = spec.fit ?? defaultFit(spec.size)
  const largest = largestScale(spec, picture, maxSide)
  const widthScale = (width ?? Infinity) / picture.width
  const heightScale = (height ?? Infinity) / picture.height
  if (fit === 'inside' || width === undefined || height === undefined) {
    return { resize: scale(picture, Math.min(widthScale, heightScale, largest)) }
  }
  if (fit === 'outside') return { resize: scale(picture, Math.min(Math.max(widthScale, heightScale), largest)) }
  if (fit === 'contain') {
    const resize = scale(picture, Math.min(widthScale, heightScale, largest))
    const box = deviceBox({ ...spec, dpr: density })
    const canvas = {
      width: Math.max(box.width ?? 1, resize.width),
      height: Math.max(box.height ?? 1, resize.height),
    }
    return { resize, pad: { ...canvas, ...offsetIn(canvas, resize, spec.position) } }
  }
  // The box keeps its shape if the picture is too small for it, so that a square stays a square. An enlarged picture is
  // limited before cropping.
  const enlarge = spec.up ? Math.max(1, Math.min(maxSide / picture.width, maxSide / picture.height)) : 1
  const box = scale({ width, height }, Math.min(1, enlarge / Math.max(widthScale, heightScale)))
  if (fit === 'fill') return { resize: box }
  const resize = cover(picture, box)
  if (resize.width === box.width && resize.height === box.height) return { resize }
  const { position } = spec
  if (position === 'smart' || position === 'entropy') return { resize, crop: { ...box, interest: position } }
  return { resize, crop: { ...box, ...offsetIn(resize, box, position) } }
}

/** Scales and rounds like sharp, to at least one pixel. */
function scale({ width, height }: Size, factor: number): Size {
  return { width: Math.max(1, Math.round(width * factor)), height: Math.max(1, Math.round(height * factor)) }
}

/** The smallest size of the picture's shape that covers the box. */
function cover(picture: Size, box: Size): Size {
  const resized = scale(picture, Math.max(box.width / picture.width, box.height / picture.height))
  return { width: Math.max(resized.width, box.width), height: Math.max(resized.height, box.height) }
}

/** Position of the smaller rectangle in the larger one. */
function offsetIn(outer: Size, inner: Size, position: Position = 'center'): Pick<Area, 'left' | 'top'> {
  const spare = { width: outer.width - inner.width, height: outer.height - inner.height }
  if (typeof position === 'object') {
    // The focal point is centred as far as the edges allow.
    const left = Math.round((position.x / 100) * outer.width - inner.width / 2)
    const top = Math.round((position.y / 100) * outer.height - inner.height / 2)
    return { left: clamp(left, spare.width), top: clamp(top, spare.height) }
  }
  const horizontal = position.endsWith('left') ? 0 : position.endsWith('right') ? 1 : 0.5
  const vertical = position.startsWith('top') ? 0 : position.startsWith('bottom') ? 1 : 0.5
  return { left: Math.round(horizontal * spare.width), top: Math.round(vertical * spare.height) }
}

function clamp(value: number, max: number): number {
  return Math.min(Math.max(value, 0), max)
}

// CPU milliseconds on the machine of the measurements, like `encodingCost`: only the ratios count. The work queue
// learns the speed of this machine.

/** Fixed cost: opening a file, messages between the processes. */
const FIXED_MS = 3

/** Decoding, and shrinking to a thumbnail. A JPEG is shrunk during decoding. */
const DECODING_MS_PER_MEGAPIXEL = {
  jpeg: 1.5,
  tiff: 3,
  webp: 8,
  png: 8,
  gif: 8,
  avif: 45,
  heif: 45,
  // Drawn at the requested size.
  svg: 8,
} as const satisfies Record<InputFormat, number>

/** Cost of an unknown original: a photograph of 12 MP, or a drawing. */
const USUAL_DECODING_MS = 20
/** Pixels of a rendition of unknown size. */
const USUAL_SIDE = 1000

/** Cost of decoding. @param frames Number of needed frames. */
export function decodingCost({ format, stored }: Pick<OriginalFacts, 'format' | 'stored'>, frames: number): number {
  return FIXED_MS + (DECODING_MS_PER_MEGAPIXEL[format] * stored.width * stored.height * frames) / 1_000_000
}

/** Cost of encoding a plan. @param frames Of the original. */
export function planCost(plan: Plan, frames: number): number {
  const { width, height } = plannedSize(plan)
  return encodingCost(plan.encoding.format, width * height * (plan.animated ? frames : 1))
}

/** Cost of a rendition of an unknown original. @param format Absent: not chosen yet. */
export function expectedCost(spec: Spec, format: OutputFormat = 'webp'): number {
  const { width, height } = deviceBox(spec)
  const pixels = (width ?? height ?? USUAL_SIDE) * (height ?? width ?? USUAL_SIDE)
  return FIXED_MS + USUAL_DECODING_MS + encodingCost(format, pixels)
}
