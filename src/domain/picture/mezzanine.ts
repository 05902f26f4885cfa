import { defaultFit, deviceBox, type Spec } from '../spec/spec.ts'
import { encodingCost } from './encoding.ts'
import { displayedSize, type OriginalFacts, type Size } from './original-facts.ts'
import { type Plan, turnedPicture } from './transform-plan.ts'

/**
 * Reduced pictures of an original: the width of the smallest, the longest side of the others, pixels. Multiples of 16, like
 * the other side: shrink-on-load halves them without a remainder, so nothing shifts. With sides of 1500 or 2000 px a thumbnail
 * of 160 px lost 0.007-0.013 SSIM.
 */
export const MEZZANINE_LEVELS = [480, 768, 1536] as const
export type MezzanineLevel = (typeof MEZZANINE_LEVELS)[number]

const SMALLEST = MEZZANINE_LEVELS[0]

/**
 * The reduced picture fits inside. Most sizes name a width, so the smallest one has the same width in portrait format: the
 * level for `400w` is known before anything is known of the original.
 */
const LEVEL_BOXES = {
  480: { width: 480, height: 960 },
  768: { width: 768, height: 768 },
  1536: { width: 1536, height: 1536 },
} as const satisfies Record<MezzanineLevel, Size>

/** Part of a mezzanine's key; incremented when its form or its use changes. */
export const MEZZANINE_VERSION = 1

/** Minimum ratio of the original's side to the mezzanine's: a level nearly as large as the original saves nothing. */
const LEAST_REDUCTION = 1.75
/**
 * The same for the smallest level. It also contains the facts of the original, so a node without the original needs one call
 * to the store instead of two, and no renderer has to read the header.
 */
const LEAST_REDUCTION_OF_SMALLEST = 1.2
/**
 * Minimum ratio of the mezzanine's side to that of the rendition. At 1.2 the mean SSIM of JPEGs was at most 0.0005
 * below that of the direct rendering, at 1.0 it was 0.0025; see docs/rendering.md.
 */
const MARGIN = 1.2
/**
 * With this ratio each colour sample of a 4:2:0 picture covers at most one pixel, and compression artefacts are
 * averaged.
 */
const FINE_MARGIN = 2
/** From this quality on a rendition of a compressed picture would not be good enough. */
const FINE_QUALITY = 90

/** The mezzanines to make of an original. @param minPixels Minimum pixels of an original with mezzanines; 0: none. */
export function mezzanineLevels(original: OriginalFacts, minPixels: number): readonly MezzanineLevel[] {
  const { width, height } = original.stored
  // Renditions of an animation need all frames, and vector graphics (SVG) are drawn at any size.
  if (minPixels === 0 || original.frames > 1 || original.format === 'svg' || width * height < minPixels) return []
  return MEZZANINE_LEVELS.filter((level) => {
    const least = level === SMALLEST ? LEAST_REDUCTION_OF_SMALLEST : LEAST_REDUCTION
    return mezzanineScale(original, level) * least <= 1
  })
}

function mezzanineScale(original: OriginalFacts, level: MezzanineLevel): number {
  const { width, height } = displayedSize(original)
  const box = LEVEL_BOXES[level]
  return Math.min(box.width / width, box.height / height)
}

/**
 * Size of a mezzanine, upright. Its aspect ratio differs by some pixels; renditions get that of the original, as the
 * whole is resized.
 */
export function mezzanineSize(original: OriginalFacts, level: MezzanineLevel): Size {
  const { width, height } = displayedSize(original)
  const scale = mezzanineScale(original, level)
  return { width: toSixteens(width * scale), height: toSixteens(height * scale) }
}

/** Cost of making the mezzanines of a picture that is decoded anyway, like `decodingCost`. */
export function reducingCost(original: OriginalFacts, levels: readonly MezzanineLevel[]): number {
  const format = mezzanineFormat(original) === 'png' ? 'png' : 'jpg'
  return levels.reduce((sum, level) => {
    const { width, height } = mezzanineSize(original, level)
    return sum + encodingCost(format, width * height)
  }, 0)
}

/** JPEG decodes fastest, with shrink-on-load; pictures with alpha are kept without loss. */
export function mezzanineFormat({ alpha }: OriginalFacts): 'jpeg' | 'png' {
  return alpha ? 'png' : 'jpeg'
}

/**
 * The mezzanines that are worth their bytes: the smallest if it is smaller than the original; with the others, together at
 * most a quarter of a JPEG; for other formats, which decode slowly or are drawings, at most the size of the original.
 * @param made The smallest first.
 */
export function worthKeeping<T extends SizedMezzanine>(
  original: OriginalFacts,
  originalBytes: number,
  made: readonly T[],
): readonly T[] {
  let left = bytesForLevels(original, originalBytes)
  return made.filter(({ level, bytes }) => {
    const most = level === SMALLEST ? originalBytes - 1 : left
    if (bytes.length > most) return false
    left -= bytes.length
    return true
  })
}

function bytesForLevels({ format }: OriginalFacts, originalBytes: number): number {
  return originalBytes * (format === 'jpeg' ? 0.25 : 1)
}

/** The bytes of photographs grow with about this power of their pixels, or faster. */
const LEAST_GROWTH = 0.6

/**
 * Whether the next level is too large for `worthKeeping`, judged by the smaller ones, so that it need not be encoded.
 * @param smaller Those that were made, the smallest first. None: unknown, so false.
 */
export function isTooLargeToKeep(
  original: OriginalFacts,
  originalBytes: number,
  { level, smaller }: { readonly level: MezzanineLevel; readonly smaller: readonly SizedMezzanine[] },
): boolean {
  const last = smaller.at(-1)
  if (last === undefined) return false
  const left = bytesForLevels(original, originalBytes) - smaller.reduce((sum, { bytes }) => sum + bytes.length, 0)
  const pixels = (of: MezzanineLevel): number => {
    const { width, height } = mezzanineSize(original, of)
    return width * height
  }
  return last.bytes.length * (pixels(level) / pixels(last.level)) ** LEAST_GROWTH > left
}

interface SizedMezzanine {
  readonly level: MezzanineLevel
  readonly bytes: Uint8Array
}

/**
 * The mezzanines from which the plan renders a picture as good as from the original, the smallest first; pure, so that
 * all nodes decide alike.
 *
 * @returns None, if the difference would be visible.
 */
export function mezzaninesFor(
  plan: Plan,
  original: OriginalFacts,
  levels: readonly MezzanineLevel[],
): readonly MezzanineLevel[] {
  const picture = turnedPicture(original, plan)
  const scale = Math.max(plan.resize.width / picture.width, plan.resize.height / picture.height)
  // Of the whole picture: a crop has the same scale in the mezzanine.
  const { width, height } = displayedSize(original)
  const needed = { width: scale * width, height: scale * height }
  const margin = isFine(plan) ? FINE_MARGIN : MARGIN
  return levels.filter((level) => {
    const box = LEVEL_BOXES[level]
    return box.width >= needed.width * margin && box.height >= needed.height * margin
  })
}

/** Lossless, of high quality, or sharpened: compression artefacts of a mezzanine would be visible. */
function isFine({ encoding, sharpen }: Plan): boolean {
  return (
    sharpen ||
    encoding.format === 'png' ||
    encoding.format === 'tiff' ||
    ('quality' in encoding && encoding.quality >= FINE_QUALITY)
  )
}

/** Height of a usual photograph, as a part of its width. */
const USUAL_HEIGHT = 3 / 4

/**
 * The levels to fetch while the original is unknown, the most likely first: of images of earlier versions, the store has no
 * smallest level.
 */
export function likelyMezzanines(spec: Spec): readonly MezzanineLevel[] {
  const { width, height = 0 } = deviceBox(spec)
  if (spec.size.kind === 'full') return []
  const fit = spec.fit ?? defaultFit(spec.size)
  const coversHeight = width === undefined || (fit !== 'inside' && fit !== 'contain')
  const needed = Math.max(width ?? 0, coversHeight ? height / USUAL_HEIGHT : 0) * MARGIN
  const [likely, next] = MEZZANINE_LEVELS.filter((level) => level >= needed)
  return [likely, likely === SMALLEST ? next : undefined].flatMap((level) => level ?? [])
}

/** The facts of the original as an upright picture, for planning from a mezzanine. */
export function uprightFacts(original: OriginalFacts): OriginalFacts {
  const { deepProfile: _inSrgb, decodingBytes: _reduced, ...facts } = original
  return { ...facts, stored: displayedSize(original), orientation: 1 }
}

function toSixteens(pixels: number): number {
  return Math.max(16, 16 * Math.round(pixels / 16))
}
