import { decode, resample, storedAs, toSharp } from '../../tools/pictures/raster.ts'
import { fixture } from '../support/render.ts'
import { type GoldenCase, once, PHOTOGRAPH } from './golden-case.ts'
import { pngFile } from './png-file.ts'

const ORIENTATIONS = [1, 2, 3, 4, 5, 6, 7, 8] as const
const FORMATS = ['jpg', 'webp', 'avif'] as const
const SIZE = { width: 160, height: 120 }

const upright = once(async () => resample(await decode(await fixture('mountains.jpg')), { width: 640, height: 480 }))
const smaller = once(async () => resample(await upright(), { width: 320, height: 240 }))
const reference = once(async () => resample(await upright(), SIZE))

/** A JPEG as a camera that was held so writes it. */
async function jpeg(orientation: number): Promise<Buffer> {
  const stored = toSharp(storedAs(await upright(), orientation)).removeAlpha()
  return await stored.withMetadata({ orientation }).jpeg({ quality: 92 }).toBuffer()
}

/** Smaller, as its encoder is slow: turned by a property of the picture, which its decoder obeys by itself. */
async function avif(orientation: number): Promise<Buffer> {
  const stored = toSharp(storedAs(await smaller(), orientation)).removeAlpha()
  return await stored.withMetadata({ orientation }).avif({ quality: 80, effort: 0 }).toBuffer()
}

async function png(orientation: number): Promise<Buffer> {
  const stored = storedAs(await smaller(), orientation)
  return pngFile(stored, { colours: 'rgb', bits: 8, orientation })
}

const ofJpeg = ORIENTATIONS.flatMap((orientation) =>
  FORMATS.map((format) => ({
    name: `EXIF orientation ${orientation} as ${format}`,
    group: 'orientation',
    original: () => jpeg(orientation),
    spec: '160w',
    format,
    reference,
    limits: PHOTOGRAPH[format],
  })),
)

const ofOthers = [6, 7].flatMap((orientation) =>
  Object.entries({ AVIF: avif, PNG: png }).map(([kind, original]) => ({
    name: `orientation ${orientation} of an original ${kind}`,
    group: 'orientation',
    original: () => original(orientation),
    spec: '160w',
    format: 'avif' as const,
    reference,
    limits: PHOTOGRAPH.avif,
  })),
)

export const ORIENTATION_CASES: readonly GoldenCase[] = [...ofJpeg, ...ofOthers]
