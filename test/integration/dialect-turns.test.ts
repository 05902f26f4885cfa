import assert from 'node:assert/strict'
import { test } from 'node:test'
import sharp from 'sharp'
import { mirroredAfter, settleSpec, turnedAfter, type Wish } from '../../src/domain/dialect/dialect-spec.ts'
import { formatSpec } from '../../src/domain/spec/spec.ts'
import { fixture, render } from '../support/render.ts'

const WISHES: Readonly<Record<string, Wish>> = {
  'a crop at a side': { width: 40, height: 80, fit: 'cover', position: 'left' },
  'a crop at a corner of a picture that is turned already': {
    width: 90,
    height: 30,
    fit: 'cover',
    position: 'topright',
    rotate: 90,
  },
  'a focal point in a mirrored picture': {
    width: 50,
    height: 80,
    fit: 'cover',
    position: { x: 20, y: 70 },
    flop: true,
  },
  'a filled box': { width: 60, height: 90, fit: 'contain', position: 'bottom', background: 'ff00aa', flip: true },
  'one side': { width: 70, fit: 'inside', rotate: 270, flip: true },
}

for (const [name, wish] of Object.entries(WISHES)) {
  test(`A wish for a turned or mirrored picture gives that picture turned or mirrored: ${name}`, async () => {
    const original = await fixture('dandelion.gif').then((bytes) => sharp(bytes).png().toBuffer())
    const picture = await render(original, formatSpec(settleSpec(wish)), 'png')
    for (const degrees of [90, 180, 270]) {
      const turned = await render(original, formatSpec(settleSpec(turnedAfter(wish, degrees))), 'png')
      await assertAlike(turned, await sharp(picture).rotate(degrees).png().toBuffer(), `turned by ${degrees}`)
    }
    const flopped = await render(
      original,
      formatSpec(settleSpec(mirroredAfter(wish, { flip: false, flop: true }))),
      'png',
    )
    await assertAlike(flopped, await sharp(picture).flop().png().toBuffer(), 'mirrored left to right')
    const flipped = await render(
      original,
      formatSpec(settleSpec(mirroredAfter(wish, { flip: true, flop: false }))),
      'png',
    )
    await assertAlike(flipped, await sharp(picture).flip().png().toBuffer(), 'mirrored top to bottom')
  })
}

/** The same size, and nearly the same pixels: a turn before a resizing moves rounding by a fraction of a pixel. */
async function assertAlike(actual: Buffer, expected: Buffer, what: string): Promise<void> {
  const [one, other] = await Promise.all([pixels(actual), pixels(expected)])
  assert.deepEqual(one.size, other.size, what)
  let sum = 0
  for (const [index, value] of one.data.entries()) sum += Math.abs(value - (other.data[index] ?? 0))
  const mean = sum / one.data.length
  assert.ok(mean < 8, `${what}: the pixels differ by ${mean.toFixed(1)} of 255 on average`)
}

async function pixels(bytes: Buffer) {
  const { data, info } = await sharp(bytes)
    .removeAlpha()
    .toColourspace('srgb')
    .blur(1.5)
    .raw()
    .toBuffer({ resolveWithObject: true })
  return { data, size: { width: info.width, height: info.height } }
}
