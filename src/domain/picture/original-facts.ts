import { OriginalError } from '../../errors.ts'
import type { InputFormat } from '../spec/image-format.ts'
import { formatByteAmount } from '../text/byte-amount.ts'
import { BASE64, sniffOtherKind } from './file-structure.ts'

/** Width and height in whole pixels, at least 1 each. */
export interface Size {
  readonly width: number
  readonly height: number
}

export interface OriginalFacts {
  readonly format: InputFormat
  /** As stored, before the EXIF orientation; of one frame. Pixels. */
  readonly stored: Size
  /** EXIF orientation, 1-8. */
  readonly orientation: number
  readonly alpha: boolean
  /** Whether it has 16 bits for each of red, green and blue, and a profile. Absent if not. */
  readonly deepProfile?: true
  /** Memory for decoding, unless it decodes line by line. See `render-memory.ts`. */
  readonly decodingBytes?: number
  /** 1 for a still picture. */
  readonly frames: number
}

/** Width and height as displayed: after the EXIF orientation, which swaps them from 5 on. */
export function displayedSize({ stored, orientation }: Pick<OriginalFacts, 'stored' | 'orientation'>): Size {
  return orientation >= 5 ? { width: stored.height, height: stored.width } : stored
}

/** A symmetry of the rectangle: mirrored left to right first if `flop`, then turned clockwise by `angle`. */
export interface Orientation {
  readonly flop: boolean
  readonly angle: 0 | 90 | 180 | 270
}

/**
 * The symmetry that turns the stored pixels of each EXIF orientation upright. @see
 * https://www.cipa.jp/std/documents/e/DC-008-Translation-2019-E.pdf (4.6.4 A)
 */
const EXIF: Readonly<Record<number, Orientation>> = {
  1: { flop: false, angle: 0 },
  2: { flop: true, angle: 0 },
  3: { flop: false, angle: 180 },
  4: { flop: true, angle: 180 },
  5: { flop: true, angle: 270 },
  6: { flop: false, angle: 90 },
  7: { flop: true, angle: 90 },
  8: { flop: false, angle: 270 },
}

/** Rotation and mirroring of a spec, applied in this order. */
export interface Turns {
  readonly rotate?: 90 | 180 | 270
  readonly flip?: true
  readonly flop?: true
}

/** The EXIF orientation, then `rot`, `flip` and `flop`, as one mirroring and one rotation. */
export function combineOrientation(exifOrientation: number, { rotate, flip, flop }: Turns): Orientation {
  const upright = EXIF[exifOrientation] ?? { flop: false, angle: 0 }
  let mirrored = upright.flop
  let angle = upright.angle + (rotate ?? 0)
  // Mirroring after a rotation equals mirroring first and the inverse rotation; top to bottom is left to right and half
  // a turn.
  if (flip) [mirrored, angle] = [!mirrored, 180 - angle]
  if (flop) [mirrored, angle] = [!mirrored, -angle]
  return { flop: mirrored, angle: quarterTurn(angle) }
}

/** Whether width and height are swapped. */
export function turnsOnSide({ angle }: Orientation): boolean {
  return angle === 90 || angle === 270
}

function quarterTurn(angle: number): Orientation['angle'] {
  const turns = (((angle / 90) % 4) + 4) % 4
  return turns === 1 ? 90 : turns === 2 ? 180 : turns === 3 ? 270 : 0
}

/**
 * Phones send HEIC by default, so the message suggests a remedy. The libvips of sharp decodes AV1 only.
 * @param head The first bytes of the file, for the message.
 */
export function unsupportedOriginal(
  format: InputFormat | undefined,
  readable: readonly InputFormat[],
  head: Buffer,
): OriginalError {
  const formats = readable.join(', ')
  if (format === 'heif') return unsupported('HEIC is not supported: send the image as JPEG or AVIF')
  if (format !== undefined) {
    return unsupported(`${format.toUpperCase()} is not enabled on this node (INPUT_FORMATS): send ${formats}`)
  }
  const kind = sniffOtherKind(head)
  if (kind === BASE64) return unsupported(`This is ${kind}: send the decoded bytes of the image`)
  return unsupported(`This is ${kind === undefined ? '' : `${kind}, `}not an image in a supported format: ${formats}`)
}

function unsupported(reason: string): OriginalError {
  return new OriginalError('original_unsupported', reason)
}

/** @param sizeBytes Absent: unknown. */
export function tooManyBytes(limit: number, sizeBytes?: number): OriginalError {
  const amount = formatByteAmount(limit)
  if (sizeBytes === undefined) return tooLarge(`more than ${amount}, the limit (MAX_UPLOAD_BYTES)`)
  const [actual, most] = distinct([sizeBytes, limit], formatByteAmount, 'bytes')
  return tooLarge(`${actual}; the limit is ${most} (MAX_UPLOAD_BYTES)`)
}

export interface PictureLimits {
  /** Over all frames. */
  readonly maxPixels: number
  readonly maxFrames: number
}

/** @throws OriginalError `original_too_large` */
export function assertPictureLimits({ maxPixels, maxFrames }: PictureLimits, facts: OriginalFacts): void {
  const { stored, frames } = facts
  const pixels = stored.width * stored.height * frames
  if (frames > maxFrames) throw tooManyFrames(maxFrames, frames)
  if (pixels > maxPixels) throw tooManyPixels(maxPixels, pixels, frames)
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

/** Rounded, unless both would look equal. */
function distinct(
  [one, other]: readonly [number, number],
  format: (amount: number) => string,
  unit: string,
): readonly [string, string] {
  if (format(one) !== format(other)) return [format(one), format(other)]
  return [`${one} ${unit}`, `${other} ${unit}`]
}

/** @param format Absent: unknown. @param cause Error of the decoder. */
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
