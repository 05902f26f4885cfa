import type { OutputFormat } from '../spec/image-format.ts'

/** Settings of the encoder, on its own scales. */
export type Encoding =
  | {
      readonly format: 'jpg'
      readonly quality: number
      readonly chroma444: boolean
      /** mozjpeg's trellis quantisation. */
      readonly trellis: boolean
      /** One of mozjpeg's nine tables; 0: the table of the JPEG standard. */
      readonly quantisationTable: number
    }
  | { readonly format: 'png' }
  | { readonly format: 'webp'; readonly quality: number; readonly effort: number; readonly smartSubsample: boolean }
  | {
      readonly format: 'avif'
      readonly quality: number
      readonly effort: number
      readonly chroma444: boolean
      /** Metric that the encoder optimizes. */
      readonly tune: 'auto' | 'iq' | 'psnr' | 'ssim'
    }
  | { readonly format: 'gif' }
  | { readonly format: 'tiff' }

export interface EncodingWish {
  /** Of the finished rendition, over all frames. */
  readonly pixels: number
  /** 1-100, the encoder's own scale; absent: the default of the format and size. */
  readonly quality?: number
  /** Whether it is rendered in advance: then size matters more than time. */
  readonly primed?: boolean
}

// All numbers here are measured: `npm run bench -- encoders` repeats the measurements, docs/rendering.md shows them.
// The goal is the fewest bytes for the CPU time at equal SSIMULACRA2; settings that Butteraugli rated worse were
// rejected.

/**
 * The default qualities: each gives a mean SSIMULACRA2 of 75 over the test photographs, midway between the defaults of
 * other services in AVIF (67) and in JPEG (78). Each size needs another number; the last column is from one photograph
 * only.
 */
const DEFAULT_QUALITY = {
  // Longest side about            160 400 800 1600
  jpg: { view: [73, 70, 69, 72], primed: [77, 74, 72, 75] },
  webp: { view: [74, 75, 77, 79], primed: [74, 75, 77, 79] },
  avif: { view: [58, 56, 58, 58], primed: [55, 54, 57, 57] },
} as const satisfies Record<LossyFormat, Record<'view' | 'primed', readonly [number, number, number, number]>>

type LossyFormat = 'jpg' | 'webp' | 'avif'

/** Maximum pixels of each column: the geometric means of the measured sizes. */
const COLUMN_ENDS = [48_000, 240_000, 960_000] as const

/** Below, AVIF's effort 0 saves nothing over WebP, and effort 1 takes at most 40 ms. */
const AVIF_QUICKEST_FROM_PIXELS = 150_000

/** Larger ones are animations, for which effort 4 would take twice as long. */
const WEBP_QUICK_FROM_PIXELS = 4_000_000

/** Above, effort 5 takes longer than 1.5 s for a picture with alpha. */
const PRIMED_WEBP_PIXELS = 1_100_000

/** The highest effort with a CPU time below 1.5 s, by maximum pixels. */
const PRIMED_AVIF_EFFORTS = [
  { effort: 6, pixels: 80_000 },
  { effort: 4, pixels: 300_000 },
  { effort: 3, pixels: 2_000_000 },
  { effort: 2, pixels: 4_000_000 },
  { effort: 1, pixels: 6_000_000 },
  { effort: 0, pixels: Infinity },
] as const

/** The encoder's settings for a rendition. */
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
        // mozjpeg's table for MS-SSIM: up to 12 % fewer bytes than with the standard table, at no cost.
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

/** Never 6: it saves 2 % more, and took 7.8 s for the alpha of a picture of 400 px. Other services use 4. */
function webpEffort({ pixels, primed = false }: EncodingWish): number {
  if (primed && pixels <= PRIMED_WEBP_PIXELS) return 5
  return pixels < WEBP_QUICK_FROM_PIXELS ? 4 : 2
}

function primedAvifEffort(pixels: number): number {
  return PRIMED_AVIF_EFFORTS.find((row) => pixels <= row.pixels)?.effort ?? 0
}

/**
 * CPU time for encoding a photograph on request, with the settings of `planEncoding`; without decoding and resizing.
 *
 * @returns Milliseconds on the machine of the measurements: valid for comparing formats and sizes only.
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

/** Whether encoding AVIF takes at most 1.5 times as long as WebP. */
export function avifIsQuickEnough(pixels: number): boolean {
  return encodingCost('avif', pixels) <= 1.5 * encodingCost('webp', pixels)
}

const EARLIEST_SECONDS = Date.UTC(2020, 0, 1) / 1000
const SPAN_SECONDS = 4 * 365 * 86_400

/**
 * The mtime that represents a rendering pipeline, seconds since 1970: a time in 2020-2024, before any rendition
 * existed.
 *
 * @param hash Hash of everything that determines the bytes; a whole number from 0.
 */
export function pipelineTime(hash: number): number {
  return EARLIEST_SECONDS + (hash % SPAN_SECONDS)
}

/**
 * Whether a file may be a rendition of this pipeline or of an earlier one. A file that another program wrote, cut or
 * copied has the time of that change.
 */
export function isPipelineTime(mtimeSeconds: number): boolean {
  // Renditions made in advance are a second younger than their pipeline.
  return mtimeSeconds >= EARLIEST_SECONDS && mtimeSeconds <= EARLIEST_SECONDS + SPAN_SECONDS
}
