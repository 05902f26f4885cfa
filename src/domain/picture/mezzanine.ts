import { displayedSize, type OriginalFacts, type Size } from './original-facts.ts'
import { type Plan, turnedPicture } from './transform-plan.ts'

/**
 * Longest sides of the reduced pictures that are kept of an original, pixels. Multiples of 16, as a JPEG's other side is
 * made too: shrinking while decoding halves them without a remainder, and nothing shifts. With sides of 1500 or 2000 px a
 * thumbnail of 160 px lost 0.007-0.013 SSIM.
 */
export const MEZZANINE_LEVELS = [768, 1536] as const
export type MezzanineLevel = (typeof MEZZANINE_LEVELS)[number]

/** Part of a mezzanine's key: goes up when its form, or what it is good for, changes. */
export const MEZZANINE_VERSION = 1

/** A level that is nearly as large as the original saves nothing: it is made for originals at least so much longer. */
const LEAST_REDUCTION = 1.75
/**
 * How much longer the mezzanine is than what is made from it. At 1.2 the mean SSIM of JPEGs was at most 0.0005 below that
 * of the direct rendering, at 1.0 it was 0.0025; see docs/rendering.md.
 */
const MARGIN = 1.2
/** With this much, each sample of colour of a 4:2:0 picture is one pixel or less, and what compression left is averaged. */
const FINE_MARGIN = 2
/** From here on a viewer asks for more than a compressed picture of the picture can promise. */
const FINE_QUALITY = 90

/** Which mezzanines are made of an original. @param minPixels The fewest pixels of an original that has any; 0: none has. */
export function mezzanineLevels(original: OriginalFacts, minPixels: number): readonly MezzanineLevel[] {
  const { width, height } = original.stored
  // Of an animation each rendition needs all frames; of what is drawn at any size (SVG) nothing is saved.
  if (minPixels === 0 || original.frames > 1 || original.format === 'svg' || width * height < minPixels) return []
  return MEZZANINE_LEVELS.filter((level) => Math.max(width, height) >= level * LEAST_REDUCTION)
}

/** Size of a mezzanine, upright. The shape is off by some pixels; renditions get the original's, as the whole is resized. */
export function mezzanineSize(original: OriginalFacts, level: MezzanineLevel): Size {
  const { width, height } = displayedSize(original)
  const scale = level / Math.max(width, height)
  return { width: toSixteens(width * scale), height: toSixteens(height * scale) }
}

/** JPEG decodes fastest and shrinks on the way; what it cannot hold is kept without loss. */
export function mezzanineFormat({ alpha }: OriginalFacts): 'jpeg' | 'png' {
  return alpha ? 'png' : 'jpeg'
}

/**
 * Which of the mezzanines are worth their bytes. For a JPEG all together stay within a quarter of it; what decodes
 * slowly (AVIF, WebP, PNG) or badly compresses as a photograph (drawings) within its own size. The smallest come first.
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
 * The mezzanines from which the plan gives a picture as good as from the original, the smallest first; pure, so that every
 * node decides alike.
 *
 * @returns none: from the original, because it would show.
 */
export function mezzaninesFor(
  plan: Plan,
  original: OriginalFacts,
  levels: readonly MezzanineLevel[],
): readonly MezzanineLevel[] {
  const picture = turnedPicture(original, plan)
  const scale = Math.max(plan.resize.width / picture.width, plan.resize.height / picture.height)
  // Of the whole picture: what a crop keeps of it is as large in the mezzanine as anything else.
  const needed = scale * Math.max(picture.width, picture.height)
  return levels.filter((level) => level >= needed * (isFine(plan) ? FINE_MARGIN : MARGIN))
}

/** Lossless, of high quality, or with its edges raised: what compression did to a mezzanine would be seen sooner. */
function isFine({ encoding, sharpen }: Plan): boolean {
  return (
    sharpen ||
    encoding.format === 'png' ||
    encoding.format === 'tiff' ||
    ('quality' in encoding && encoding.quality >= FINE_QUALITY)
  )
}

/** The level to ask for while nothing is known of the original. @param longestSide Of the box, device pixels. */
export function likelyMezzanine(longestSide: number): MezzanineLevel | undefined {
  return MEZZANINE_LEVELS.find((level) => level >= longestSide * MARGIN)
}

/** The facts of an upright picture of the same original: of these a plan for a mezzanine is made. */
export function uprightFacts(original: OriginalFacts): OriginalFacts {
  const { deepProfile: _inSrgb, decodingBytes: _reduced, ...facts } = original
  return { ...facts, stored: displayedSize(original), orientation: 1 }
}

function toSixteens(pixels: number): number {
  return Math.max(16, 16 * Math.round(pixels / 16))
}
