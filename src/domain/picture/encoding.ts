import type { OutputFormat } from '../spec/image-format.ts'

/** How to encode: the encoders' own scales. */
export type Encoding =
  | {
      readonly format: 'jpg'
      readonly quality: number
      readonly chroma444: boolean
      /** mozjpeg's choice of coefficients by what each costs and brings. */
      readonly trellis: boolean
      /** One of mozjpeg's nine tables: 0 is the JPEG standard's own. */
      readonly quantisationTable: number
    }
  | { readonly format: 'png' }
  | { readonly format: 'webp'; readonly quality: number; readonly effort: number; readonly smartSubsample: boolean }
  | {
      readonly format: 'avif'
      readonly quality: number
      readonly effort: number
      readonly chroma444: boolean
      /** What the encoder weighs its decisions by. */
      readonly tune: 'auto' | 'iq' | 'psnr' | 'ssim'
    }
  | { readonly format: 'gif' }
  | { readonly format: 'tiff' }

export interface EncodingWish {
  /** Of the finished rendition, over all its frames. */
  readonly pixels: number
  /** 1-100, the encoder's own scale; absent: what looks alike in all formats and sizes. */
  readonly quality?: number
  /** Nobody waits for it: take the time that the least bytes need. */
  readonly primed?: boolean
}

// All numbers here are measured: `npm run bench -- encoders` measures them again, docs/rendering.md shows them. The wish is
// the fewest bytes for the CPU at equal SSIMULACRA2; what Butteraugli found worse was not taken.

/**
 * The default qualities: on the mean of our photographs each gives a SSIMULACRA2 of 75, midway between what other services'
 * defaults give in AVIF (67) and in JPEG (78). The same number looks different at another size, hence a
 * column for each; the last is of one photograph only.
 */
const DEFAULT_QUALITY = {
  // Longest side about            160 400 800 1600
  jpg: { view: [73, 70, 69, 72], primed: [77, 74, 72, 75] },
  webp: { view: [74, 75, 77, 79], primed: [74, 75, 77, 79] },
  avif: { view: [58, 56, 58, 58], primed: [55, 54, 57, 57] },
} as const satisfies Record<LossyFormat, Record<'view' | 'primed', readonly [number, number, number, number]>>

type LossyFormat = 'jpg' | 'webp' | 'avif'

/** Pixels up to which a column holds: midway between the sizes that were measured, by factors. */
const COLUMN_ENDS = [48_000, 240_000, 960_000] as const

/** Below, AVIF's effort 0 saves nothing over WebP, and 1 takes a viewer 40 ms at the most. */
const AVIF_QUICKEST_FROM_PIXELS = 150_000

/** More are an animation's, whose viewer effort 4 would keep waiting for twice as long. */
const WEBP_QUICK_FROM_PIXELS = 4_000_000

/** Above, effort 5 takes longer than 1.5 s for a picture with alpha. */
const PRIMED_WEBP_PIXELS = 1_100_000

/** The highest effort whose CPU time stays below 1.5 s, by the most pixels that it does so for. */
const PRIMED_AVIF_EFFORTS = [
  { effort: 6, pixels: 80_000 },
  { effort: 4, pixels: 300_000 },
  { effort: 3, pixels: 2_000_000 },
  { effort: 2, pixels: 4_000_000 },
  { effort: 1, pixels: 6_000_000 },
  { effort: 0, pixels: Infinity },
] as const

/** The encoder's settings for a rendition of that format and size. */
export function planEncoding(format: OutputFormat, wish: EncodingWish): Encoding {
  const { pixels, primed = false } = wish
  switch (format) {
    case 'jpg':
      return {
        format,
        quality: qualityOf(format, wish),
        // The full colour of 4:4:4 costs more bytes than a higher quality.
        chroma444: false,
        // 2 % fewer bytes by SSIMULACRA2, 4 % by Butteraugli, for three times the time.
        trellis: primed,
        // mozjpeg's table for MS-SSIM: up to 12 % fewer bytes than the standard's, at no cost.
        quantisationTable: 2,
      }
    case 'webp':
      return { format, quality: qualityOf(format, wish), effort: webpEffort(wish), smartSubsample: false }
    case 'avif':
      return {
        format,
        quality: qualityOf(format, wish),
        effort: primed ? primedAvifEffort(pixels) : pixels < AVIF_QUICKEST_FROM_PIXELS ? 1 : 0,
        chroma444: true,
        tune: 'iq',
      }
    case 'png':
    case 'gif':
    case 'tiff':
      return { format }
  }
}

function qualityOf(format: LossyFormat, { pixels, quality, primed = false }: EncodingWish): number {
  const column = COLUMN_ENDS.findIndex((end) => pixels <= end)
  const [smallest, small, medium, large] = DEFAULT_QUALITY[format][primed ? 'primed' : 'view']
  return quality ?? [smallest, small, medium][column] ?? large
}

/** Never 6: it saves 2 % more, and took 7.8 s for the alpha of a picture of 400 px. 4 is what other services take. */
function webpEffort({ pixels, primed = false }: EncodingWish): number {
  if (primed && pixels <= PRIMED_WEBP_PIXELS) return 5
  return pixels < WEBP_QUICK_FROM_PIXELS ? 4 : 2
}

function primedAvifEffort(pixels: number): number {
  return PRIMED_AVIF_EFFORTS.find((row) => pixels <= row.pixels)?.effort ?? 0
}

/**
 * CPU time of encoding a photograph of that many pixels for a viewer who waits, with the settings of `planEncoding`; without
 * decoding and resizing.
 *
 * @returns Milliseconds on the machine that it was measured on: good for comparing formats and sizes, no promise.
 */
export function encodingCost(format: OutputFormat, pixels: number): number {
  const { fixedMs, msPerMegapixel } = format === 'avif' ? avifCost(pixels) : COST[format]
  return fixedMs + (msPerMegapixel * pixels) / 1_000_000
}

const COST = {
  jpg: { fixedMs: 0.5, msPerMegapixel: 15 },
  png: { fixedMs: 0.7, msPerMegapixel: 56 },
  webp: { fixedMs: 1, msPerMegapixel: 100 },
  gif: { fixedMs: 75, msPerMegapixel: 2300 },
  tiff: { fixedMs: 1, msPerMegapixel: 56 },
} as const satisfies Record<Exclude<OutputFormat, 'avif'>, Cost>

interface Cost {
  readonly fixedMs: number
  readonly msPerMegapixel: number
}

function avifCost(pixels: number): Cost {
  return pixels < AVIF_QUICKEST_FROM_PIXELS ? { fixedMs: 3.5, msPerMegapixel: 265 } : { fixedMs: 2, msPerMegapixel: 76 }
}

/** Whether encoding AVIF takes a viewer at most half as long again as WebP would. */
export function avifIsQuickEnough(pixels: number): boolean {
  return encodingCost('avif', pixels) <= 1.5 * encodingCost('webp', pixels)
}

const EARLIEST_SECONDS = Date.UTC(2020, 0, 1) / 1000
const SPAN_SECONDS = 4 * 365 * 86_400

/**
 * The mtime that stands for a rendering pipeline, seconds since 1970: a time in 2020-2024, when there was no rendition yet.
 *
 * @param hash Any whole number from 0, of all that decides the bytes.
 */
export function pipelineTime(hash: number): number {
  return EARLIEST_SECONDS + (hash % SPAN_SECONDS)
}

/**
 * Whether a file may be a rendition of this pipeline or of an earlier one. Whatever somebody else wrote, cut or copied carries the
 * time when that was done.
 */
export function isPipelineTime(mtimeSeconds: number): boolean {
  // What was made ahead is a second younger than its pipeline.
  return mtimeSeconds >= EARLIEST_SECONDS && mtimeSeconds <= EARLIEST_SECONDS + SPAN_SECONDS
}
