/** Length of a patch's side, pixels. */
export const PATCH = 16

const BLOCK = 8

/**
 * A CMYK JPEG of flat patches, made by hand as Adobe's programs write it: all inks inverted, no chroma subsampling. Only
 * the mean of each block is coded, and nothing is rounded.
 *
 * @param patches Rows of patches, each with its four inks, 0-255.
 * @see https://www.w3.org/Graphics/JPEG/itu-t81.pdf
 */
export function cmykJpeg(patches: readonly (readonly (readonly number[])[])[], profile?: Buffer): Buffer {
  const width = (patches[0]?.length ?? 0) * PATCH
  const height = patches.length * PATCH
  const frame = [
    8,
    height >> 8,
    height & 255,
    width >> 8,
    width & 255,
    4,
    ...[1, 2, 3, 4].flatMap((id) => [id, 0x11, 0]),
  ]
  return Buffer.concat([
    Buffer.from([0xff, 0xd8]),
    ...(profile ? [segment(0xe2, [...Buffer.from('ICC_PROFILE\0'), 1, 1, ...profile])] : []),
    segment(0xee, [...Buffer.from('Adobe'), 0, 100, 0, 0, 0, 0, 0]),
    segment(0xdb, [0, ...Array<number>(64).fill(1)]),
    segment(0xc0, frame),
    // Twelve codes of four bits for the sizes of the means, and one of one bit for "nothing else in this block".
    segment(0xc4, [0x00, ...codeLengths(4, 12), ...Array(12).keys()]),
    segment(0xc4, [0x10, ...codeLengths(1, 1), 0]),
    segment(0xda, [4, ...[1, 2, 3, 4].flatMap((id) => [id, 0]), 0, 63, 0]),
    scan(patches),
    Buffer.from([0xff, 0xd9]),
  ])
}

function segment(marker: number, body: readonly number[]): Buffer {
  const length = body.length + 2
  return Buffer.from([0xff, marker, length >> 8, length & 255, ...body])
}

function codeLengths(bits: number, codes: number): readonly number[] {
  return Array.from({ length: 16 }, (_, index) => (index + 1 === bits ? codes : 0))
}

function scan(patches: readonly (readonly (readonly number[])[])[]): Buffer {
  let bits = ''
  const before = [0, 0, 0, 0]
  for (const row of patches) {
    for (let line = 0; line < PATCH / BLOCK; line += 1) {
      for (const inks of row) {
        for (let block = 0; block < PATCH / BLOCK; block += 1) {
          for (const [component, ink] of inks.entries()) {
            const mean = BLOCK * (255 - ink - 128)
            bits += `${codeOf(mean - (before[component] ?? 0))}0`
            before[component] = mean
          }
        }
      }
    }
  }
  const bytes = (bits.padEnd(Math.ceil(bits.length / 8) * 8, '1').match(/.{8}/g) ?? []).map((byte) =>
    Number.parseInt(byte, 2),
  )
  return Buffer.from(bytes.flatMap((byte) => (byte === 0xff ? [byte, 0] : [byte])))
}

/** How many bits a difference has, and they; those of a negative one are what is left of as many ones. */
function codeOf(change: number): string {
  const size = change === 0 ? 0 : Math.abs(change).toString(2).length
  const bits = change < 0 ? 2 ** size - 1 + change : change
  return size.toString(2).padStart(4, '0') + (size === 0 ? '' : bits.toString(2).padStart(size, '0'))
}
