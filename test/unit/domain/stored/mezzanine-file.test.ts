import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OriginalFacts } from '../../../../src/domain/picture/original-facts.ts'
import { openMezzanine, sealMezzanine } from '../../../../src/domain/stored/mezzanine-file.ts'

const FACTS: OriginalFacts = {
  format: 'jpeg',
  stored: { width: 4000, height: 3000 },
  orientation: 6,
  alpha: false,
  frames: 1,
}
const PICTURE = Buffer.alloc(10_000, 'picture')
const FILE = sealMezzanine(PICTURE, FACTS)

test('A mezzanine begins with its picture, and its end says what the original is', () => {
  assert.ok(FILE.subarray(0, PICTURE.length).equals(PICTURE))
  assert.deepEqual(openMezzanine(FILE), FACTS)
})

test('One that is damaged anywhere, cut, or something else is none', () => {
  for (const at of [
    0,
    5_000,
    PICTURE.length,
    PICTURE.length + 20,
    FILE.length - 30,
    FILE.length - 6,
    FILE.length - 1,
  ]) {
    const damaged = Buffer.from(FILE)
    damaged.writeUInt8(damaged.readUInt8(at) ^ 1, at)
    assert.equal(openMezzanine(damaged), undefined, `a bit at ${at}`)
  }
  for (const length of [0, 1, 39, 40, 100, PICTURE.length, FILE.length - 1]) {
    assert.equal(openMezzanine(FILE.subarray(0, length)), undefined, `${length} bytes`)
  }
  assert.equal(openMezzanine(Buffer.alloc(FILE.length)), undefined)
})

test('Facts that make no sense are not believed, whoever sealed them', () => {
  for (const wrong of [{ orientation: 0 }, { frames: 1.5 }, { stored: { width: -1, height: 3 } }] as const) {
    assert.equal(openMezzanine(sealMezzanine(PICTURE, { ...FACTS, ...wrong })), undefined)
  }
})
