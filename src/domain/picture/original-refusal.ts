import { OriginalError } from '../../errors.ts'
import type { InputFormat } from '../spec/image-format.ts'
import { formatByteAmount } from '../text/byte-amount.ts'

/** A HEIC is what phones send by themselves, so its sender is told what to do. libvips as sharp has it decodes AV1 only. */
export function unsupportedOriginal(format: InputFormat | undefined, readable: readonly InputFormat[]): OriginalError {
  const reason =
    format === 'heif'
      ? 'HEIC is not supported: send the image as JPEG or AVIF'
      : `This is not an image in a supported format: ${readable.join(', ')}`
  return new OriginalError('original_unsupported', reason)
}

/** @param sizeBytes Absent: nobody knows where it ends. */
export function tooManyBytes(limit: number, sizeBytes?: number): OriginalError {
  const amount = formatByteAmount(limit)
  if (sizeBytes === undefined) return tooLarge(`more than ${amount}, the limit (MAX_UPLOAD_BYTES)`)
  const [actual, most] = distinct([sizeBytes, limit], formatByteAmount, 'bytes')
  return tooLarge(`${actual}; the limit is ${most} (MAX_UPLOAD_BYTES)`)
}

/** @param pixels Over all frames. */
export function tooManyPixels(limit: number, pixels: number, frames: number): OriginalError {
  const [actual, most] = distinct([pixels, limit], formatPixels, 'pixels')
  return tooLarge(`${actual}${frames > 1 ? ' over all frames' : ''}; the limit is ${most} (MAX_PIXELS)`)
}

export function tooManyFrames(limit: number, frames: number): OriginalError {
  return tooLarge(`${frames} frames; the limit is ${limit} (MAX_FRAMES)`)
}

function tooLarge(what: string): OriginalError {
  return new OriginalError('original_too_large', `The original has ${what}`)
}

/** In megapixels from 0.1 on. */
function formatPixels(pixels: number): string {
  const megapixels = pixels / 1e6
  if (megapixels < 0.1) return `${pixels} pixels`
  return `${Number(megapixels.toFixed(1))} MP`
}

/** Rounded, unless that makes them look equal. */
function distinct(
  [one, other]: readonly [number, number],
  format: (amount: number) => string,
  unit: string,
): readonly [string, string] {
  if (format(one) !== format(other)) return [format(one), format(other)]
  return [`${one} ${unit}`, `${other} ${unit}`]
}

/** @param format Absent: not known any more. @param cause What the decoder said. */
export function brokenOriginal(format: InputFormat | undefined, cause: unknown): OriginalError {
  const name = format === undefined ? 'image' : NAMES[format]
  const reasons = format === 'tiff' ? `it is ${DAMAGED}, or ${TIFF_COMPRESSION}` : `it is ${DAMAGED}`
  return new OriginalError('original_broken', `This ${name} cannot be decoded: ${reasons}`, { cause })
}

const NAMES = {
  jpeg: 'JPEG',
  png: 'PNG',
  webp: 'WebP',
  avif: 'AVIF',
  gif: 'GIF',
  tiff: 'TIFF',
  heif: 'HEIF',
  svg: 'SVG',
} as const satisfies Record<InputFormat, string>
const DAMAGED = 'damaged or incomplete'
const TIFF_COMPRESSION =
  'uses an unsupported compression (supported: none, LZW, Deflate, PackBits, JPEG, CCITT; not old-style JPEG)'
