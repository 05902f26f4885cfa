import type { FormatChoice, InputFormat, OutputFormat } from '../spec/image-format.ts'
import type { Spec } from '../spec/spec.ts'
import { avifIsQuickEnough } from './encoding.ts'
import type { OriginalFacts } from './original-facts.ts'
import { plannedSize, planTransform } from './transform-plan.ts'

/** The facts of a rendition that its format depends on. */
export interface PictureTraits {
  /** Of the original. */
  readonly source: InputFormat
  readonly alpha: boolean
  readonly animated: boolean
  /** Of one frame. */
  readonly pixels: number
}

/** @param maxSide Longest side that is made, device pixels. */
export function pictureTraits(spec: Spec, original: OriginalFacts, maxSide: number): PictureTraits {
  const { width, height } = plannedSize(planTransform(spec, original, 'jpg', maxSide))
  return {
    source: original.format,
    alpha: original.alpha,
    animated: original.frames > 1 && !spec.still,
    pixels: width * height,
  }
}

/**
 * The format that shows the picture whole, with the fewest bytes that such a client can read.
 * @param someoneWaits AVIF is then given only where encoding it takes at most half as long again as WebP.
 */
export function negotiateFormat(choice: FormatChoice, picture: PictureTraits, someoneWaits: boolean): OutputFormat {
  const { source, alpha, animated, pixels } = picture
  if (choice === 'source') return SOURCE_FORMATS[source] ?? (alpha ? 'png' : 'jpg')
  if (choice === 'other') return animated ? 'gif' : alpha ? 'png' : 'jpg'
  // Few decoders play an animated AVIF, and our encoder makes none.
  if (choice === 'webp' || animated) return 'webp'
  return someoneWaits && !avifIsQuickEnough(pixels) ? 'webp' : 'avif'
}

/** What is asked for as the original has it, where that is a format that pages show. */
const SOURCE_FORMATS: Partial<Record<InputFormat, OutputFormat>> = {
  jpeg: 'jpg',
  png: 'png',
  webp: 'webp',
  gif: 'gif',
  avif: 'avif',
  tiff: 'png',
  svg: 'png',
}
