import sharp, { type Sharp } from 'sharp'
import type { Size } from '../../src/domain/picture/original-facts.ts'

/** Pixels as they are shown: red, green, blue and alpha, 0-255, alpha not multiplied in, row by row from the top. */
export interface Raster extends Size {
  readonly data: Float32Array
}

export const CHANNELS = 4

/** A picture made by a function of its pixels' places. */
export function paint(size: Size, colourAt: (x: number, y: number) => readonly number[]): Raster {
  const data = new Float32Array(size.width * size.height * CHANNELS)
  for (let y = 0; y < size.height; y += 1) {
    for (let x = 0; x < size.width; x += 1) {
      const [red = 0, green = 0, blue = 0, alpha = 255] = colourAt(x, y)
      data.set([red, green, blue, alpha], (y * size.width + x) * CHANNELS)
    }
  }
  return { ...size, data }
}

export function pixelAt({ width, data }: Raster, x: number, y: number): readonly number[] {
  const at = (y * width + x) * CHANNELS
  return [...data.subarray(at, at + CHANNELS)]
}

/** Every pixel of a file, decoded at its full size. @param page Which frame. */
export async function decode(bytes: Buffer, page = 0): Promise<Raster> {
  const image = sharp(bytes, { failOn: 'truncated', page }).toColourspace('srgb').ensureAlpha()
  const { data, info } = await image.raw().toBuffer({ resolveWithObject: true })
  return { width: info.width, height: info.height, data: Float32Array.from(data) }
}

export function toSharp({ width, height, data }: Raster): Sharp {
  const bytes = Buffer.from(Uint8ClampedArray.from(data, Math.round))
  return sharp(bytes, { raw: { width, height, channels: CHANNELS } })
}

/** Another picture whose pixels are some of this one's. @param from Where the pixel that comes to lie at x, y is now. */
export function rearrange(
  raster: Raster,
  size: Size,
  from: (x: number, y: number) => readonly [number, number],
): Raster {
  return paint(size, (x, y) => pixelAt(raster, ...from(x, y)))
}

/** A picture as a camera of that EXIF orientation stores it. */
export function storedAs(upright: Raster, orientation: number): Raster {
  const { width, height } = upright
  const right = width - 1
  const bottom = height - 1
  const size = orientation >= 5 ? { width: height, height: width } : { width, height }
  // Row 0 and column 0 of what is stored are, from 1 to 8: top left, top right, bottom right, bottom left, left top,
  // right top, right bottom and left bottom of what is seen (EXIF 2.32, 4.6.4 A).
  const places = [
    (x: number, y: number) => [x, y] as const,
    (x: number, y: number) => [right - x, y] as const,
    (x: number, y: number) => [right - x, bottom - y] as const,
    (x: number, y: number) => [x, bottom - y] as const,
    (x: number, y: number) => [y, x] as const,
    (x: number, y: number) => [right - y, x] as const,
    (x: number, y: number) => [right - y, bottom - x] as const,
    (x: number, y: number) => [y, bottom - x] as const,
  ]
  const from = places[orientation - 1]
  if (from === undefined) throw new RangeError(`${orientation} is no orientation`)
  return rearrange(upright, size, from)
}

const LOBES = 3

/**
 * Resized with a Lanczos filter of three lobes, each pixel weighed by its alpha, in the values as they are stored.
 *
 * @see https://en.wikipedia.org/wiki/Lanczos_resampling
 */
export function resample(raster: Raster, { width, height }: Size): Raster {
  const weighed = withAlpha(raster, (value, alpha) => (value * alpha) / 255)
  const narrowed = resampleRows(weighed, width)
  const done = transpose(resampleRows(transpose(narrowed), height))
  return withAlpha(done, (value, alpha) => (alpha <= 0 ? 0 : clamp((value * 255) / alpha)))
}

function withAlpha(raster: Raster, change: (value: number, alpha: number) => number): Raster {
  return paint(raster, (x, y) => {
    const [red = 0, green = 0, blue = 0, alpha = 0] = pixelAt(raster, x, y)
    return [change(red, alpha), change(green, alpha), change(blue, alpha), clamp(alpha)]
  })
}

function transpose(raster: Raster): Raster {
  return rearrange(raster, { width: raster.height, height: raster.width }, (x, y) => [y, x])
}

function resampleRows(raster: Raster, width: number): Raster {
  const shrink = raster.width / width
  const reach = LOBES * Math.max(1, shrink)
  const taps = Array.from({ length: width }, (_, x) => {
    const centre = (x + 0.5) * shrink
    const first = Math.floor(centre - reach)
    const weights = Array.from({ length: Math.ceil(2 * reach) + 1 }, (_unused, index) =>
      lanczos((first + index + 0.5 - centre) / Math.max(1, shrink)),
    )
    const sum = weights.reduce((total, weight) => total + weight, 0)
    return weights.map((weight, index) => ({
      weight: weight / sum,
      from: Math.min(Math.max(first + index, 0), raster.width - 1),
    }))
  })
  const data = new Float32Array(width * raster.height * CHANNELS)
  for (let y = 0; y < raster.height; y += 1) {
    for (const [x, list] of taps.entries()) {
      for (let channel = 0; channel < CHANNELS; channel += 1) {
        let value = 0
        for (const { weight, from } of list) {
          value += weight * (raster.data[(y * raster.width + from) * CHANNELS + channel] ?? 0)
        }
        data[(y * width + x) * CHANNELS + channel] = value
      }
    }
  }
  return { width, height: raster.height, data }
}

function lanczos(x: number): number {
  if (x === 0) return 1
  if (Math.abs(x) >= LOBES) return 0
  const angle = Math.PI * x
  return (LOBES * Math.sin(angle) * Math.sin(angle / LOBES)) / angle ** 2
}

function clamp(value: number): number {
  return Math.min(Math.max(value, 0), 255)
}
