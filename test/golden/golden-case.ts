import type { UrlFormat } from '../../src/domain/spec/image-format.ts'
import type { Raster } from '../../tools/pictures/raster.ts'

/** One original, what is asked of it, and what it must look like by other means than the service's own. */
export interface GoldenCase {
  readonly name: string
  /** What the table of contents files it under. */
  readonly group: string
  readonly original: () => Promise<Buffer>
  /** As in a URL. */
  readonly spec: string
  readonly format: UrlFormat
  /** Which frame of the rendition is looked at; the first, if absent. */
  readonly page?: number
  readonly reference: () => Promise<Raster>
  readonly limits: Limits
}

/** How far a rendition may be from its reference. */
export interface Limits {
  /** Mean CIEDE2000. */
  readonly deltaE: number
  /** Of any pixel, where the picture is flat enough for that. */
  readonly maxDeltaE?: number
  /** Mean CIEDE2000 of squares of 16 pixels. */
  readonly shift: number
  /** SSIM of the brightness, at least. */
  readonly ssim: number
}

/** What each encoder's default quality leaves of a photograph. Far from what a wrong turn or a lost profile makes of it. */
export const PHOTOGRAPH = {
  jpg: { deltaE: 5, shift: 0.9, ssim: 0.93 },
  webp: { deltaE: 5, shift: 0.9, ssim: 0.93 },
  avif: { deltaE: 5, shift: 0.9, ssim: 0.9 },
  png: { deltaE: 1, shift: 0.2, ssim: 0.98 },
  gif: { deltaE: 3, shift: 0.8, ssim: 0.95 },
} as const satisfies Record<UrlFormat, Limits>

/** For what is flat. */
export const EXACT: Limits = { deltaE: 0.2, maxDeltaE: 2, shift: 0.2, ssim: 0.995 }

/** Made once, whoever asks first. */
export function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => {
    made ??= make()
    return made
  }
}
