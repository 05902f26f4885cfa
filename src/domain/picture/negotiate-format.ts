import type { FormatChoice, InputFormat, OutputFormat } from '../spec/image-format.ts'
import type { Spec } from '../spec/spec.ts'
import { avifIsQuickEnough } from './encoding.ts'
import type { OriginalFacts } from './original-facts.ts'
import { plannedSize, planTransform } from './transform-plan.ts'

/** The properties of a rendition that determine its format. */
export interface PictureTraits {
  /** Of the original. */
  readonly source: InputFormat
  readonly alpha: boolean
  readonly animated: boolean
  /** Of one frame. */
  readonly pixels: number
}

/** @param maxSide Maximum side of a rendition, device pixels. */
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
 * The format with the fewest bytes that shows the whole picture and that the client supports.
 * @param someoneWaits A client waits: then AVIF is chosen only if encoding takes at most 1.5 times as long as WebP.
 */
export function negotiateFormat(choice: FormatChoice, picture: PictureTraits, someoneWaits: boolean): OutputFormat {
  const { source, alpha, animated, pixels } = picture
  if (choice === 'source') return SOURCE_FORMATS[source] ?? (alpha ? 'png' : 'jpg')
  if (choice === 'other') return animated ? 'gif' : alpha ? 'png' : 'jpg'
  // Few decoders play an animated AVIF, and the encoder does not make it.
  if (choice === 'webp' || animated) return 'webp'
  return someoneWaits && !avifIsQuickEnough(pixels) ? 'webp' : 'avif'
}

/** The format for "as the original", if browsers support it. */
const SOURCE_FORMATS: Partial<Record<InputFormat, OutputFormat>> = {
  jpeg: 'jpg',
  png: 'png',
  webp: 'webp',
  gif: 'gif',
  avif: 'avif',
  tiff: 'png',
  svg: 'png',
}
