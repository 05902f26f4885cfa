/** Size of the grey picture that is hashed, pixels. */
export const HASHED_SIZE = { width: 9, height: 8 } as const

/**
 * dHash: of each pixel but the last of a row, whether its right neighbour is brighter; the first bit is the top left one's.
 * Pictures that look alike differ in few of the 64 bits.
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
