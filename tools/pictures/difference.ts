import assert from 'node:assert/strict'
import { labOf, type Triple } from './colour.ts'
import { CHANNELS, paint, pixelAt, type Raster } from './raster.ts'

/** How far apart two pictures look. */
export interface Difference {
  /** Mean and largest CIEDE2000 over the pixels; about 1 is the least that an eye can tell. */
  readonly deltaE: number
  readonly maxDeltaE: number
  /** Mean CIEDE2000 of the mean colours of squares of 16 pixels: what an encoder loses evens out, a wrong colour stays. */
  readonly shift: number
  /** Structural similarity of their brightness, 1 if they are the same. */
  readonly ssim: number
}

/** Compared on white and, where they can be seen through, on black: the worse of the two. */
export function difference(one: Raster, other: Raster): Difference {
  assert.deepEqual([one.width, one.height], [other.width, other.height])
  const onWhite = differenceOn(one, other, 255)
  if (isOpaque(one) && isOpaque(other)) return onWhite
  const onBlack = differenceOn(one, other, 0)
  return {
    deltaE: Math.max(onWhite.deltaE, onBlack.deltaE),
    maxDeltaE: Math.max(onWhite.maxDeltaE, onBlack.maxDeltaE),
    shift: Math.max(onWhite.shift, onBlack.shift),
    ssim: Math.min(onWhite.ssim, onBlack.ssim),
  }
}

function isOpaque({ data }: Raster): boolean {
  return data.every((value, index) => index % CHANNELS !== CHANNELS - 1 || value === 255)
}

function differenceOn(one: Raster, other: Raster, ground: number): Difference {
  const [first, second] = [one, other].map((raster) => layOn(raster, ground))
  assert.ok(first && second)
  const pixels = distances(first, second)
  return {
    deltaE: mean(pixels),
    maxDeltaE: pixels.reduce((most, apart) => Math.max(most, apart), 0),
    shift: mean(distances(inSquares(first), inSquares(second))),
    ssim: similarity(luma(first), luma(second), first.width),
  }
}

function distances(one: Raster, other: Raster): readonly number[] {
  return Array.from({ length: one.width * one.height }, (_, index) => {
    const [x, y] = [index % one.width, Math.floor(index / one.width)]
    return deltaE2000(labOf(pixelAt(one, x, y)), labOf(pixelAt(other, x, y)))
  })
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

const SQUARE = 16

function inSquares(raster: Raster): Raster {
  const size = { width: Math.ceil(raster.width / SQUARE), height: Math.ceil(raster.height / SQUARE) }
  return paint(size, (column, row) => {
    const right = Math.min((column + 1) * SQUARE, raster.width)
    const bottom = Math.min((row + 1) * SQUARE, raster.height)
    const sums = [0, 0, 0]
    let count = 0
    for (let y = row * SQUARE; y < bottom; y += 1) {
      for (let x = column * SQUARE; x < right; x += 1) {
        const colour = pixelAt(raster, x, y)
        for (const [channel, sum] of sums.entries()) sums[channel] = sum + (colour[channel] ?? 0)
        count += 1
      }
    }
    return sums.map((sum) => sum / count)
  })
}

/** As it looks on a ground of that grey, 0-255. */
export function layOn(raster: Raster, ground: number): Raster {
  return paint(raster, (x, y) => {
    const [red = 0, green = 0, blue = 0, alpha = 0] = pixelAt(raster, x, y)
    return [red, green, blue].map((value) => (value * alpha + ground * (255 - alpha)) / 255)
  })
}

function luma(raster: Raster): Float32Array {
  const values = new Float32Array(raster.width * raster.height)
  return values.map((_, index) => {
    const [red = 0, green = 0, blue = 0] = pixelAt(raster, index % raster.width, Math.floor(index / raster.width))
    return 0.299 * red + 0.587 * green + 0.114 * blue
  })
}

const WINDOW = 8
const STABLE = [(0.01 * 255) ** 2, (0.03 * 255) ** 2] as const

/** Mean over windows of 8x8. @see https://en.wikipedia.org/wiki/Structural_similarity_index_measure */
function similarity(one: Float32Array, other: Float32Array, width: number): number {
  const height = one.length / width
  const side = Math.min(WINDOW, width, height)
  let sum = 0
  let windows = 0
  for (let top = 0; top + side <= height; top += side / 2) {
    for (let left = 0; left + side <= width; left += side / 2) {
      sum += windowSimilarity(one, other, { width, side, at: Math.floor(top) * width + Math.floor(left) })
      windows += 1
    }
  }
  return sum / windows
}

interface Window {
  readonly width: number
  readonly side: number
  readonly at: number
}

function windowSimilarity(one: Float32Array, other: Float32Array, { width, side, at }: Window): number {
  let [sumA, sumB, squareA, squareB, sumAB] = [0, 0, 0, 0, 0]
  for (let y = 0; y < side; y += 1) {
    for (let x = 0; x < side; x += 1) {
      const a = one[at + y * width + x] ?? 0
      const b = other[at + y * width + x] ?? 0
      sumA += a
      sumB += b
      squareA += a * a
      squareB += b * b
      sumAB += a * b
    }
  }
  const count = side * side
  const [meanA, meanB] = [sumA / count, sumB / count]
  const covariance = sumAB / count - meanA * meanB
  const variances = squareA / count - meanA ** 2 + squareB / count - meanB ** 2
  const brightness = (2 * meanA * meanB + STABLE[0]) / (meanA ** 2 + meanB ** 2 + STABLE[0])
  return (brightness * (2 * covariance + STABLE[1])) / (variances + STABLE[1])
}

/** @see https://hajim.rochester.edu/ece/sites/gsharma/ciede2000/ (with its test data) */
export function deltaE2000([l1, a1, b1]: Triple, [l2, a2, b2]: Triple): number {
  const meanC = (Math.hypot(a1, b1) + Math.hypot(a2, b2)) / 2
  const g = 1.5 - Math.sqrt(meanC ** 7 / (meanC ** 7 + 25 ** 7)) / 2
  const [c1, c2] = [Math.hypot(g * a1, b1), Math.hypot(g * a2, b2)]
  const [h1, h2] = [degrees(b1, g * a1), degrees(b2, g * a2)]
  const isGrey = c1 * c2 === 0
  const turn = h2 - h1
  const dh = isGrey ? 0 : turn > 180 ? turn - 360 : turn < -180 ? turn + 360 : turn
  const dH = 2 * Math.sqrt(c1 * c2) * sine(dh / 2)
  const meanH = isGrey ? h1 + h2 : Math.abs(turn) <= 180 ? (h1 + h2) / 2 : (h1 + h2 + (h1 + h2 < 360 ? 360 : -360)) / 2
  const [l, c] = [(l1 + l2) / 2, (c1 + c2) / 2]
  const t =
    1 -
    0.17 * cosine(meanH - 30) +
    0.24 * cosine(2 * meanH) +
    0.32 * cosine(3 * meanH + 6) -
    0.2 * cosine(4 * meanH - 63)
  const partL = (l2 - l1) / (1 + (0.015 * (l - 50) ** 2) / Math.sqrt(20 + (l - 50) ** 2))
  const partC = (c2 - c1) / (1 + 0.045 * c)
  const partH = dH / (1 + 0.015 * c * t)
  const around = 30 * Math.exp(-(((meanH - 275) / 25) ** 2))
  const rotation = -2 * Math.sqrt(c ** 7 / (c ** 7 + 25 ** 7)) * sine(2 * around)
  return Math.sqrt(Math.max(0, partL ** 2 + partC ** 2 + partH ** 2 + rotation * partC * partH))
}

function degrees(y: number, x: number): number {
  return x === 0 && y === 0 ? 0 : ((Math.atan2(y, x) * 180) / Math.PI + 360) % 360
}

function sine(angle: number): number {
  return Math.sin((angle * Math.PI) / 180)
}

function cosine(angle: number): number {
  return Math.cos((angle * Math.PI) / 180)
}
