import assert from 'node:assert/strict'
import { test } from 'node:test'
import { labOf, type Triple } from '../../tools/pictures/colour.ts'
import { deltaE2000, difference } from '../../tools/pictures/difference.ts'
import { paint } from '../../tools/pictures/raster.ts'

// Of the 34 pairs that G. Sharma, W. Wu and E. N. Dalal published with "The CIEDE2000 color-difference formula" (2005).
const PAIRS: readonly (readonly [Triple, Triple, number])[] = [
  [[50, 2.6772, -79.7751], [50, 0, -82.7485], 2.0425],
  [[50, -1.3802, -84.2814], [50, 0, -82.7485], 1],
  [[50, 0, 0], [50, -1, 2], 2.3669],
  [[50, 2.49, -0.001], [50, -2.49, 0.0011], 7.2195],
  [[50, 2.5, 0], [61, -5, 29], 22.8977],
  [[60.2574, -34.0099, 36.2677], [60.4626, -34.1751, 39.4387], 1.2644],
  [[22.7233, 20.0904, -46.694], [23.0331, 14.973, -42.5619], 2.0373],
  [[2.0776, 0.0795, -1.135], [0.9033, -0.0636, -0.5514], 0.9082],
]
for (const [one, other, expected] of PAIRS) {
  test(`Lab ${one.join(' ')} and ${other.join(' ')} are ${expected} apart`, () => {
    assert.ok(Math.abs(deltaE2000(one, other) - expected) < 0.0001, String(deltaE2000(one, other)))
    assert.ok(Math.abs(deltaE2000(other, one) - expected) < 0.0001)
  })
}

test('The Lab values of sRGB are the usual ones', () => {
  for (const [colour, expected] of [
    [
      [255, 255, 255],
      [100, 0, 0],
    ],
    [
      [0, 0, 0],
      [0, 0, 0],
    ],
    [
      [255, 0, 0],
      [53.24, 80.09, 67.2],
    ],
    [
      [0, 0, 255],
      [32.3, 79.19, -107.86],
    ],
  ] as const) {
    for (const [index, value] of labOf(colour).entries()) assert.ok(Math.abs(value - (expected[index] ?? 0)) < 0.05)
  }
})

test('A picture is no different from itself, and what is clear has no colour', () => {
  const size = { width: 16, height: 16 }
  const wave = paint(size, (x, y) => [x * 15, y * 15, 128])
  assert.deepEqual(difference(wave, wave), { deltaE: 0, maxDeltaE: 0, shift: 0, ssim: 1 })
  const [red, green] = [paint(size, () => [255, 0, 0, 0]), paint(size, () => [0, 255, 0, 0])]
  assert.equal(difference(red, green).deltaE, 0)
  const inverse = paint(size, (x, y) => [255 - x * 15, 255 - y * 15, 127])
  assert.ok(difference(wave, inverse).ssim < 0)
})
