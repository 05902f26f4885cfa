import type { InputFormat, OutputFormat } from '../spec/image-format.ts'
import type { Size } from './original-facts.ts'

/** Properties that determine the memory of the decoder. */
export interface CodedPicture {
  readonly format: InputFormat
  /** Of one frame. */
  readonly size: Size
  readonly frames: number
  readonly channels: number
  readonly bytesPerSample: number
  /** A progressive JPEG, or an interlaced PNG. */
  readonly progressive: boolean
  /** Chroma subsampling 4:2:0. */
  readonly halvedColours: boolean
}

/**
 * Memory for decoding, in bytes: an upper estimate from measurements of renderers. Pictures that decode line by line
 * need almost none, others do.
 */
export function decodingBytes(picture: CodedPicture): number {
  return Math.round(picture.size.width * picture.size.height * bytesPerPixel(picture))
}

function bytesPerPixel({ format, frames, channels, bytesPerSample, progressive, halvedColours }: CodedPicture): number {
  switch (format) {
    case 'jpeg':
      // All coefficients, of two bytes each, and their result.
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
      // The picture may be a single strip.
      return channels * bytesPerSample * 2
    case 'svg':
      // Drawn at the requested size.
      return 0
  }
}

/** The part of a plan that determines memory. */
export interface DrawnPicture {
  /** Size of the finished picture. */
  readonly size: Size
  /** Size of the resized picture, before cropping. */
  readonly whole: Size
  readonly frames: number
  readonly format: OutputFormat
}

/** Bytes for each encoded pixel. The AV1 encoder keeps many copies of a picture. */
const ENCODER_BYTES = { jpg: 4, png: 3, webp: 4, avif: 31, gif: 6, tiff: 8 } as const satisfies Record<
  OutputFormat,
  number
>
/** Bytes for each pixel of a drawing, with the layers of a filter. */
const DRAWING_BYTES = 14

/** Memory for a rendition without decoding, in bytes, estimated in the same way. */
export function encodingBytes({ size, whole, frames, format }: DrawnPicture, original: InputFormat): number {
  const pixels = size.width * size.height * frames
  const drawn = original === 'svg' ? whole.width * whole.height * DRAWING_BYTES : 0
  // Frames are processed one by one, but all are in memory before and after.
  const held = frames > 1 ? pixels * 8 : 0
  return Math.round(pixels * ENCODER_BYTES[format] + drawn + held)
}

/** An idle node, without pictures. */
const NODE_BYTES = 160e6
/** An idle renderer, after some work. */
const RENDERER_BYTES = 90e6
/** Minimum: a lower limit would be useless, and the kernel enforces its own. */
const LEAST_BYTES = 64e6
/** Maximum: renders that need more exceed their timeout; with many renderers it is a multiple. */
const MOST_BYTES = 1.5e9
const MOST_BYTES_EACH = 400e6

/**
 * Default memory limit of all renders.
 *
 * @param memoryBytes Of the machine, or what its container may have.
 */
export function defaultRenderMemory(memoryBytes: number, renderers: number): number {
  const left = Math.floor(memoryBytes - NODE_BYTES - renderers * RENDERER_BYTES)
  return Math.max(LEAST_BYTES, Math.min(left, Math.max(MOST_BYTES, renderers * MOST_BYTES_EACH)))
}
