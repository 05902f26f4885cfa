import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import fc from 'fast-check'
import { walkGif } from '../../../../src/domain/picture/gif-structure.ts'

function isWhole(bytes: Buffer): boolean {
  const walk = walkGif()
  let step = walk.next()
  while (!step.done) step = walk.next(bytes[step.value])
  return step.value
}

const GIF = await readFile(new URL('../../../fixtures/dandelion.gif', import.meta.url))
const HEADER = 'GIF89a\x01\0\x01\0\0\0\0'
const IMAGE = ',\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0'
const COMMENT = '!\xfe\x05hello\x03you\0'
const gif = (text: string) => Buffer.from(text, 'latin1')

test('A GIF is whole up to its trailer, whatever follows', () => {
  assert.ok(isWhole(GIF))
  assert.ok(isWhole(Buffer.concat([GIF, Buffer.from('what follows')])))
  assert.ok(isWhole(gif(`${HEADER}${COMMENT}${IMAGE}${COMMENT};`)))
})

test('A GIF that lacks no more than its trailer is as good as whole', () => {
  assert.ok(isWhole(GIF.subarray(0, -1)))
  assert.ok(isWhole(gif(`${HEADER}${IMAGE}\0\0`)))
})

test('A GIF with palettes of its own for the screen and an image is walked over them', () => {
  const palette = '\0'.repeat(12)
  const ownPalette = IMAGE.replace('\x01\0\0\x02\x02', `\x01\0\x81${palette}\x02\x02`)
  const bytes = gif(`GIF89a\x01\0\x01\0\x81\0\0${palette}${ownPalette};`)
  assert.ok(isWhole(bytes))
  assert.ok(!isWhole(bytes.subarray(0, -3)))
})

test('A GIF that ends within a block, or has no image, is not whole', () => {
  for (const text of ['', 'GIF89a', HEADER, `${HEADER};`, `${HEADER}${COMMENT};`, `${HEADER}${IMAGE.slice(0, -1)}`]) {
    assert.ok(!isWhole(gif(text)), JSON.stringify(text))
  }
})

test('A walk over anything at all ends, and looks at no byte twice', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), fc.boolean(), (noise, spoil) => {
      const bytes = spoil ? Buffer.concat([GIF.subarray(0, 1000), noise]) : Buffer.from(noise)
      let last = -1
      const walk = walkGif()
      for (let step = walk.next(); !step.done; step = walk.next(bytes[step.value])) {
        assert.ok(step.value > last)
        last = step.value
      }
    }),
  )
})
