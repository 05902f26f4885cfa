import type { InputFormat } from '../spec/image-format.ts'

/** Number of bytes that `sniffFormat` reads. */
export const SNIFF_BYTES = 512

/**
 * The format of a file by its first bytes: its name and declared type do not count.
 *
 * @param head The first `SNIFF_BYTES` bytes, or the whole file if it is shorter.
 * @returns undefined for unsupported formats.
 * @see https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern
 */
export function sniffFormat(head: Buffer): InputFormat | undefined {
  const ascii = head.toString('latin1')
  if (ascii.startsWith('\xff\xd8\xff')) return 'jpeg'
  if (ascii.startsWith('\x89PNG\r\n\x1a\n')) return 'png'
  if (ascii.startsWith('GIF87a') || ascii.startsWith('GIF89a')) return 'gif'
  if (ascii.startsWith('RIFF') && ascii.slice(8, 12) === 'WEBP') return 'webp'
  if (ascii.startsWith('II*\0') || ascii.startsWith('MM\0*')) return 'tiff'
  if (ascii.slice(4, 8) === 'ftyp') return sniffBrands(head, ascii)
  return /^(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--(?:(?!-->)[\s\S])*-->\s*|<!DOCTYPE[^>]*>\s*)*<svg[\s>]/i.test(
    ascii,
  )
    ? 'svg'
    : undefined
}

/** Of `sniffOtherKind`. */
export const BASE64 = 'Base64 text'

/** What a file without a known format is, for its error. @param head As for `sniffFormat`. */
export function sniffOtherKind(head: Buffer): string | undefined {
  const ascii = head.toString('latin1')
  if (ascii.startsWith('%PDF-')) return 'a PDF document'
  if (/^\s*(?:<!DOCTYPE html|<html|<head|<body)/i.test(ascii)) return 'an HTML page'
  if (/^\s*[{[]\s*["{[]/.test(ascii)) return 'JSON'
  return /^data:[\w/+.-]*;base64,|^(?:\/9j\/|iVBORw0KGgo|R0lGOD|UklGR)[A-Za-z0-9+/]{20}/.test(ascii)
    ? BASE64
    : undefined
}

/** The brands of an ISO base media file: four letters each from byte 8 on, except for the version at byte 12. */
function sniffBrands(head: Buffer, ascii: string): InputFormat | undefined {
  const end = head.length < 4 ? 0 : Math.min(head.readUInt32BE(0), ascii.length)
  const brands = [ascii.slice(8, 12)]
  for (let at = 16; at + 4 <= end; at += 4) brands.push(ascii.slice(at, at + 4))
  if (brands.some((brand) => brand === 'avif' || brand === 'avis')) return 'avif'
  return brands.some((brand) => /^(?:heic|heix|hevc|hevx|heim|heis|mif1|msf1)$/.test(brand)) ? 'heif' : undefined
}

/**
 * Walks over the blocks of a GIF without decoding pixels: decoders accept a truncated GIF without its last frames.
 * Yields the position of each byte that it needs, and receives that byte, or undefined beyond the end.
 *
 * @returns true if the file extends to its trailer, or at least to the end of a block, as files without a trailer
 *   exist.
 * @see https://www.w3.org/Graphics/GIF/spec-gif89a.txt
 */
export function* walkGif(): Generator<number, boolean, number | undefined> {
  const screen = yield SCREEN_FLAGS_AT
  if (screen === undefined) return false
  let at = HEADER_BYTES + paletteBytes(screen)
  for (let frames = 0; ; ) {
    const kind = yield at
    if (kind !== EXTENSION && kind !== IMAGE) return frames > 0
    if (kind === IMAGE) {
      const flags = yield at + IMAGE_FLAGS_AT
      if (flags === undefined) return false
      at += IMAGE_BYTES + paletteBytes(flags)
      frames += 1
    } else {
      at += EXTENSION_BYTES
    }
    // Followed by sub-blocks of up to 255 bytes, each after its length, and a terminator of length zero.
    for (let length: number | undefined; length !== 0; at += length + 1) {
      length = yield at
      if (length === undefined) return false
    }
  }
}

const SCREEN_FLAGS_AT = 10
const HEADER_BYTES = 13
const EXTENSION = 0x21
/** The introducer of an extension and its label. */
const EXTENSION_BYTES = 2
const IMAGE = 0x2c
const IMAGE_FLAGS_AT = 9
/** The image descriptor, and the code size. */
const IMAGE_BYTES = 11

/** Size of the palette of a GIF. @param flags Of the logical screen or of an image. */
export function paletteBytes(flags: number): number {
  return (flags & 0x80) === 0 ? 0 : 3 << ((flags & 0x07) + 1)
}
