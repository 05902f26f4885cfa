import type { InputFormat, OutputFormat } from '../spec/image-format.ts'
import type { Size } from './original-facts.ts'

/** What decides how much of a picture its decoder has in memory at once. */
export interface CodedPicture {
  readonly format: InputFormat
  /** Of one frame. */
  readonly size: Size
  readonly frames: number
  readonly channels: number
  readonly bytesPerSample: number
  /** Comes as a whole first roughly and then finer: a progressive JPEG, an interlaced PNG. */
  readonly progressive: boolean
  /** Colours have a quarter of the samples: 4:2:0. */
  readonly halvedColours: boolean
}

/**
 * Memory that decoding takes, estimated from what was measured of renderers, a little more than less; bytes. Pictures that
 * come line by line take next to nothing, whatever their size; these do not.
 */
export function decodingBytes(picture: CodedPicture): number {
  return Math.round(picture.size.width * picture.size.height * bytesPerPixel(picture))
}

function bytesPerPixel({ format, frames, channels, bytesPerSample, progressive, halvedColours }: CodedPicture): number {
  switch (format) {
    case 'jpeg':
      // All coefficients, of two bytes each, with what is made of them.
      if (!progressive) return 0
      return halvedColours ? 4 : channels * 3.3
    case 'png':
      return progressive ? channels * bytesPerSample * 2.1 : 0
    case 'webp':
      return frames > 1 ? 10 : 5
    case 'avif':
    case 'heif':
      return 18
    case 'gif':
      return 6
    case 'tiff':
      // All of it may be in one strip.
      return channels * bytesPerSample * 2
    case 'svg':
      // Drawn at the size that is asked for.
      return 0
  }
}

/** What has to be known of a plan. */
export interface DrawnPicture {
  /** Finished. */
  readonly size: Size
  /** Of all that is resized, before anything is cut off. */
  readonly whole: Size
  readonly frames: number
  readonly format: OutputFormat
}

/** Of one pixel that is encoded. AV1's encoder keeps many copies of a picture. */
const ENCODER_BYTES = { jpg: 4, png: 3, webp: 4, avif: 31, gif: 6, tiff: 8 } as const satisfies Record<
  OutputFormat,
  number
>
/** Of a pixel of a drawing, with a filter's layers. */
const DRAWING_BYTES = 14

/** Memory that a rendition takes beside the decoding of its original, estimated as that; bytes. */
export function encodingBytes({ size, whole, frames, format }: DrawnPicture, original: InputFormat): number {
  const pixels = size.width * size.height * frames
  const drawn = original === 'svg' ? whole.width * whole.height * DRAWING_BYTES : 0
  // Frames are worked on one by one, and are all there before and after.
  const held = frames > 1 ? pixels * 8 : 0
  return Math.round(pixels * ENCODER_BYTES[format] + drawn + held)
}

/** A node at rest, without pictures. */
const NODE_BYTES = 160e6
/** A renderer at rest, after some work. */
const RENDERER_BYTES = 90e6
/** Less is of no use: then the limit is for the kernel to keep. */
const LEAST_BYTES = 64e6
/** More is for what takes longer than anybody waits; where there are many renderers, for so many at once. */
const MOST_BYTES = 1.5e9
const MOST_BYTES_EACH = 400e6

/**
 * What renders may take together where nobody said it.
 *
 * @param memoryBytes Of the machine, or what its container may have.
 */
export function defaultRenderMemory(memoryBytes: number, renderers: number): number {
  const left = Math.floor(memoryBytes - NODE_BYTES - renderers * RENDERER_BYTES)
  return Math.max(LEAST_BYTES, Math.min(left, Math.max(MOST_BYTES, renderers * MOST_BYTES_EACH)))
}
