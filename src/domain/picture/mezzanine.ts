import { displayedSize, type OriginalFacts, type Size } from './original-facts.ts'
import { type Plan, turnedPicture } from './transform-plan.ts'

/**
 * Longest sides of the reduced pictures of an original, pixels. Multiples of 16, like the other side: shrink-on-load
 * halves them without a remainder, so nothing shifts. With sides of 1500 or 2000 px a thumbnail of 160 px lost
 * 0.007-0.013 SSIM.
 */
export const MEZZANINE_LEVELS = [768, 1536] as const
export type MezzanineLevel = (typeof MEZZANINE_LEVELS)[number]

/** Part of a mezzanine's key; incremented when its form or its use changes. */
export const MEZZANINE_VERSION = 1

/** Minimum ratio of the original's longest side to the level: a level nearly as large as the original saves nothing. */
const LEAST_REDUCTION = 1.75
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
  return MEZZANINE_LEVELS.filter((level) => Math.max(width, height) >= level * LEAST_REDUCTION)
}

/**
 * Size of a mezzanine, upright. Its aspect ratio differs by some pixels; renditions get that of the original, as the
 * whole is resized.
 */
export function mezzanineSize(original: OriginalFacts, level: MezzanineLevel): Size {
  const { width, height } = displayedSize(original)
  const scale = level / Math.max(width, height)
  return { width: toSixteens(width * scale), height: toSixteens(height * scale) }
}

/** JPEG decodes fastest, with shrink-on-load; pictures with alpha are kept without loss. */
export function mezzanineFormat({ alpha }: OriginalFacts): 'jpeg' | 'png' {
  return alpha ? 'png' : 'jpeg'
}

/**
 * The mezzanines that are worth their bytes: together at most a quarter of a JPEG; for other formats, which decode
 * slowly or are drawings, at most the size of the original. The smallest come first.
 */
export function worthKeeping<T extends { readonly bytes: Uint8Array }>(
  original: OriginalFacts,
  originalBytes: number,
  made: readonly T[],
): readonly T[] {
  let left = originalBytes * (original.format === 'jpeg' ? 0.25 : 1)
  return made.filter(({ bytes }) => {
    if (bytes.length > left) return false
    left -= bytes.length
    return true
  })
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
  const needed = scale * Math.max(picture.width, picture.height)
  return levels.filter((level) => level >= needed * (isFine(plan) ? FINE_MARGIN : MARGIN))
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

/** The level to fetch while the original is unknown. @param longestSide Of the box, device pixels. */
export function likelyMezzanine(longestSide: number): MezzanineLevel | undefined {
  return MEZZANINE_LEVELS.find((level) => level >= longestSide * MARGIN)
}

/** The facts of the original as an upright picture, for planning from a mezzanine. */
export function uprightFacts(original: OriginalFacts): OriginalFacts {
  const { deepProfile: _inSrgb, decodingBytes: _reduced, ...facts } = original
  return { ...facts, stored: displayedSize(original), orientation: 1 }
}

function toSixteens(pixels: number): number {
  return Math.max(16, 16 * Math.round(pixels / 16))
}
