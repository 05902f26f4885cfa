import type { OriginalFacts } from './original-facts.ts'
import { decodingBytes } from './render-memory.ts'

/** Enough for most headers, with a thumbnail and a profile in them. */
export const JPEG_HEAD_BYTES = 128 * 1024

const MARKER = 0xff
const START_OF_IMAGE = 0xd8
const START_OF_SCAN = 0xda
const EXIF_SEGMENT = 0xe1
/** Frames of one picture, Huffman-coded: baseline, extended, progressive. */
const FRAME_STARTS = new Set([0xc0, 0xc1, 0xc2])
const PROGRESSIVE = 0xc2
/** Other frames (lossless, hierarchical, arithmetic), and DHP and DNL, which change the size. */
const UNUSUAL = new Set([0xc3, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf, 0xdc, 0xde])

interface Frame {
  readonly size: { readonly width: number; readonly height: number }
  readonly channels: number
  readonly progressive: boolean
  readonly halvedColours: boolean
}

/**
 * Facts of an ordinary JPEG, from its first bytes: gray or in colours, of 8 bits, with at most one EXIF block.
 *
 * @param head The first bytes; a whole file need not be there.
 * @returns undefined if it is not an ordinary one, or if the header is longer: a decoder has to read it.
 * @see https://www.w3.org/Graphics/JPEG/itu-t81.pdf (B.2)
 */
export function readJpegHeader(head: Buffer): OriginalFacts | undefined {
  if (head.length < 4 || head[0] !== MARKER || head[1] !== START_OF_IMAGE) return undefined
  let frame: Frame | undefined
  let orientation: number | undefined
  for (let at = 2; ; ) {
    const kind = head[at + 1]
    if (at + 4 > head.length || head[at] !== MARKER || kind === undefined) return undefined
    const end = at + 2 + head.readUInt16BE(at + 2)
    // Fill bytes and markers without a length are rare.
    if (end > head.length || end < at + 4 || kind < 0xc0 || (kind >= 0xd0 && kind <= 0xd9)) return undefined
    const segment = head.subarray(at + 4, end)
    if (kind === START_OF_SCAN) {
      const isAlone = segment[0] === frame?.channels
      return frame && isAlone ? toFacts(frame, orientation ?? 1) : undefined
    }
    if (UNUSUAL.has(kind)) return undefined
    if (FRAME_STARTS.has(kind)) {
      if (frame !== undefined) return undefined
      frame = readFrame(segment, kind === PROGRESSIVE)
      if (frame === undefined) return undefined
    }
    if (kind === EXIF_SEGMENT && segment.toString('latin1', 0, 4).toLowerCase() === 'exif') {
      const found = orientation === undefined ? readOrientation(segment) : undefined
      if (found === undefined) return undefined
      orientation = found
    }
    at = end
  }
}

function toFacts({ size, channels, progressive, halvedColours }: Frame, orientation: number): OriginalFacts {
  const coded = { format: 'jpeg', size, frames: 1, channels, bytesPerSample: 1, progressive, halvedColours } as const
  const held = decodingBytes(coded)
  return {
    format: 'jpeg',
    stored: size,
    orientation,
    alpha: false,
    ...(held > 0 && { decodingBytes: held }),
    frames: 1,
  }
}

/** Sampling factors of the components, by which libvips tells 4:2:0, and others that do not matter here. */
const SAMPLINGS: Readonly<Record<string, boolean>> = { '11 11 11': false, '21 11 11': false, '22 11 11': true }

function readFrame(segment: Buffer, progressive: boolean): Frame | undefined {
  const [bits, , , , , channels] = segment
  if (bits !== 8 || (channels !== 1 && channels !== 3) || segment.length !== 6 + 3 * channels) return undefined
  const size = { width: segment.readUInt16BE(3), height: segment.readUInt16BE(1) }
  const factors = Array.from({ length: channels }, (_, index) => segment[7 + 3 * index]?.toString(16))
  const halvedColours = channels === 1 ? false : SAMPLINGS[factors.join(' ')]
  if (size.width === 0 || size.height === 0 || halvedColours === undefined) return undefined
  return { size, channels, progressive, halvedColours }
}

const TIFF_AT = 6
const ORIENTATION = 0x0112
const SHORT = 3

/** @returns undefined for a block that a decoder may read in another way. */
function readOrientation(segment: Buffer): number | undefined {
  if (segment.toString('latin1', 0, TIFF_AT) !== 'Exif\0\0') return undefined
  const tiff = segment.subarray(TIFF_AT)
  const order = tiff.toString('latin1', 0, 4)
  if (tiff.length < 14 || (order !== 'II*\0' && order !== 'MM\0*')) return undefined
  const read16 = (at: number) => (order === 'II*\0' ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at))
  const read32 = (at: number) => (order === 'II*\0' ? tiff.readUInt32LE(at) : tiff.readUInt32BE(at))
  const first = read32(4)
  if (first < 8 || first + 2 > tiff.length) return undefined
  const end = first + 2 + read16(first) * 12
  if (end + 4 > tiff.length) return undefined
  const entries: number[] = []
  for (let at = first + 2; at < end; at += 12) if (read16(at) === ORIENTATION) entries.push(at)
  const [entry] = entries
  if (entry === undefined) return 1
  const value = read16(entry + 8)
  const isPlain = entries.length === 1 && read16(entry + 2) === SHORT && read32(entry + 4) === 1
  return isPlain && value >= 1 && value <= 8 ? value : undefined
}
