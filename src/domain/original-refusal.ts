import { OriginalError } from '../errors.ts'
import type { InputFormat } from './image-format.ts'

/** A HEIC is what phones send by themselves, so its sender is told what to do. libvips as sharp has it decodes AV1 only. */
export function unsupportedOriginal(format: InputFormat | undefined, readable: readonly InputFormat[]): OriginalError {
  const reason =
    format === 'heif'
      ? 'A HEIC cannot be read here: send the picture as a JPEG or an AVIF'
      : `This is not an image that we read: ${readable.join(', ')}`
  return new OriginalError('original_unsupported', reason)
}

export function oversizedOriginal(what: 'pixels' | 'frames', limit: number, actual: number): OriginalError {
  return new OriginalError('original_too_large', `An image may have at most ${limit} ${what}; this one has ${actual}`)
}

/** @param format Absent: not known any more. @param cause What the decoder said. */
export function brokenOriginal(format: InputFormat | undefined, cause: unknown): OriginalError {
  const name = format === undefined ? 'image' : NAMES[format]
  const reasons = format === 'tiff' ? `it is ${DAMAGED}, or ${TIFF_COMPRESSION}` : `it is ${DAMAGED}`
  return new OriginalError('original_broken', `This ${name} cannot be decoded without errors: ${reasons}`, { cause })
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
