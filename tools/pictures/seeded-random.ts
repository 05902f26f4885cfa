/**
 * Random whole numbers that are the same in every run.
 *
 * @param seed Any whole number but 0.
 * @returns Draws the next number, 0 to 2^32 - 1.
 * @see https://www.jstatsoft.org/article/view/v008i14 (xorshift, 13-17-5)
 */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state
  }
}

/**
 * Adds the noise of a camera's sensor to interleaved RGB bytes, in place: Gaussian, the same in all three channels.
 *
 * Without it, a photograph that was shrunk or enlarged holds so little detail that it decodes faster than a camera's.
 *
 * @param rgb Three bytes per pixel.
 * @param sigma Standard deviation, in steps of 0-255.
 * @param seed Any whole number but 0; the same seed gives the same noise.
 */
export function addSensorNoise(rgb: Uint8Array, sigma: number, seed: number): void {
  const random = createRandom(seed)
  const noise = Int8Array.from({ length: 65_536 }, () => Math.round(sigma * gaussian(random)))
  const clamped = new Uint8ClampedArray(rgb.buffer, rgb.byteOffset, rgb.byteLength)
  for (let pixel = 0; pixel + 2 < clamped.length; pixel += 3) {
    const offset = noise[random() >>> 16] ?? 0
    for (let channel = pixel; channel < pixel + 3; channel++) clamped[channel] = (clamped[channel] ?? 0) + offset
  }
}

/** A draw from the standard normal distribution (Box-Muller). */
function gaussian(random: () => number): number {
  const radius = Math.sqrt(-2 * Math.log((random() + 1) / 2 ** 32))
  return radius * Math.cos((2 * Math.PI * random()) / 2 ** 32)
}
