import type { InputFormat } from '../spec/image-format.ts'

/** How many bytes of a file `sniffFormat` looks at. */
export const SNIFF_BYTES = 512

/**
 * The format of a file by its first bytes: what it is called or claimed to be doesn't count.
 *
 * @param head The first `SNIFF_BYTES` bytes, or the whole file if it is shorter.
 * @returns undefined for everything that we never read.
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

/** The brands of an ISO base media file: four letters each, from byte 8 on, but for the version at byte 12. */
function sniffBrands(head: Buffer, ascii: string): InputFormat | undefined {
  const end = head.length < 4 ? 0 : Math.min(head.readUInt32BE(0), ascii.length)
  const brands = [ascii.slice(8, 12)]
  for (let at = 16; at + 4 <= end; at += 4) brands.push(ascii.slice(at, at + 4))
  if (brands.some((brand) => brand === 'avif' || brand === 'avis')) return 'avif'
  return brands.some((brand) => /^(?:heic|heix|hevc|hevx|heim|heis|mif1|msf1)$/.test(brand)) ? 'heif' : undefined
}
