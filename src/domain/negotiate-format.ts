import { avifIsQuickEnough } from './encoding.ts'
import type { AcceptClass, OutputFormat } from './image-format.ts'
import type { OriginalFacts } from './original-facts.ts'
import type { Spec } from './spec.ts'
import { plannedSize, planTransform } from './transform-plan.ts'

/** The facts of a rendition that its format depends on. */
export interface PictureTraits {
  readonly alpha: boolean
  readonly animated: boolean
  /** Of one frame. */
  readonly pixels: number
}

/** @param maxSide Longest side that is made, device pixels. */
export function pictureTraits(spec: Spec, original: OriginalFacts, maxSide: number): PictureTraits {
  const { width, height } = plannedSize(planTransform(spec, original, 'jpg', maxSide))
  return { alpha: original.alpha, animated: original.frames > 1 && !spec.still, pixels: width * height }
}

/**
 * The format that shows the picture whole, with the fewest bytes that such a client can read.
 * @param someoneWaits AVIF is then given only where encoding it takes at most half as long again as WebP.
 */
export function negotiateFormat(accepted: AcceptClass, picture: PictureTraits, someoneWaits: boolean): OutputFormat {
  const { alpha, animated, pixels } = picture
  if (accepted === 'other') return animated ? 'gif' : alpha ? 'png' : 'jpg'
  // Few decoders play an animated AVIF, and our encoder makes none.
  if (accepted === 'webp' || animated) return 'webp'
  return someoneWaits && !avifIsQuickEnough(pixels) ? 'webp' : 'avif'
}
