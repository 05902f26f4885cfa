/** Bits that are ignored of red, green and blue each: 4096 colours remain. */
const STEP_BITS = 4

/**
 * The dominant colour: the mean of the fullest of 4096 boxes of colours. Transparent pixels count less.
 * @param rgba Red, green, blue and alpha of each pixel, not premultiplied.
 * @returns `#rrggbb`; black for a picture without a visible pixel.
 */
export function dominantColour(rgba: Uint8Array): string {
  const boxes = new Map<number, { weight: number; sums: [number, number, number] }>()
  for (let at = 0; at < rgba.length; at += 4) {
    const [red = 0, green = 0, blue = 0, alpha = 0] = rgba.subarray(at, at + 4)
    const key = (coarse(red) << (2 * STEP_BITS)) | (coarse(green) << STEP_BITS) | coarse(blue)
    const box = boxes.get(key) ?? { weight: 0, sums: [0, 0, 0] }
    box.weight += alpha
    box.sums = [box.sums[0] + red * alpha, box.sums[1] + green * alpha, box.sums[2] + blue * alpha]
    boxes.set(key, box)
  }
  const fullest = [...boxes.values()].reduce((best, box) => (box.weight > best.weight ? box : best), {
    weight: 0,
    sums: [0, 0, 0],
  })
  const mean = fullest.sums.map((sum) => Math.round(sum / Math.max(1, fullest.weight)))
  return `#${mean.map((value) => value.toString(16).padStart(2, '0')).join('')}`
}

function coarse(value: number): number {
  return value >> (8 - STEP_BITS)
}

/** Size of the grey picture that is hashed, pixels. */
export const HASHED_SIZE = { width: 9, height: 8 } as const

/**
 * dHash: for each pixel except the last of a row, whether its right neighbour is brighter; the first bit is that of the
 * top left pixel. Similar pictures differ in few of the 64 bits.
 *
 * @param grey 9x8 brightnesses, row by row.
 * @returns 16 hex digits.
 * @see https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html
 */
export function differenceHash(grey: Uint8Array): string {
  const { width, height } = HASHED_SIZE
  let bits = 0n
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width - 1; column += 1) {
      const at = row * width + column
      bits = (bits << 1n) | ((grey[at] ?? 0) < (grey[at + 1] ?? 0) ? 1n : 0n)
    }
  }
  return bits.toString(16).padStart(16, '0')
}
