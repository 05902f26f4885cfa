import assert from 'node:assert/strict'
import sharp from 'sharp'

const GRID = 16

/** A picture as a viewer sees it from afar: 16x16 sRGB colours, laid onto white, of the first frame. 0-255. */
export async function perceive(bytes: Buffer): Promise<readonly number[]> {
  const seen = sharp(bytes, { failOn: 'truncated' }).autoOrient().flatten({ background: '#fff' }).toColourspace('srgb')
  // Shrinking while decoding would move each colour by some units more than what is to be found.
  return [...(await seen.resize(GRID, GRID, { fit: 'fill', fastShrinkOnLoad: false }).raw().toBuffer())]
}

/** How far apart two pictures look: the mean of the differences of their 16x16 colours. 0-255. */
export async function distance(one: Buffer, other: Buffer): Promise<number> {
  const [first, second] = [await perceive(one), await perceive(other)]
  assert.equal(first.length, second.length)
  return first.reduce((sum, value, index) => sum + Math.abs(value - (second[index] ?? 0)), 0) / first.length
}

/** Mean red, green and blue of a whole picture laid onto white. 0-255. */
export async function meanColour(bytes: Buffer): Promise<readonly number[]> {
  const colours = await perceive(bytes)
  return [0, 1, 2].map((channel) => {
    const values = colours.filter((_, index) => index % 3 === channel)
    return values.reduce((sum, value) => sum + value, 0) / values.length
  })
}

/** Fails unless two pictures look alike. The least that a wrong turn of our photographs makes is about 20. */
export async function assertAlike(actual: Buffer, expected: Buffer, tolerance = 4): Promise<void> {
  const apart = await distance(actual, expected)
  assert.ok(apart <= tolerance, `${apart.toFixed(1)} apart`)
}
