import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import sharp, { type JpegOptions } from 'sharp'
import { createSharpEngine } from '../../src/adapters/sharp/sharp-engine.ts'
import { readJpegHeader } from '../../src/domain/picture/jpeg-header.ts'
import type { OriginalFacts } from '../../src/domain/picture/original-facts.ts'
import { mutate } from '../../tools/fuzz/mutate.ts'
import { createRandom } from '../../tools/pictures/seeded-random.ts'
import { fixture } from '../../tools/servers/darkroom.ts'

const engine = createSharpEngine({ inputFormats: ['jpeg'], maxPixels: 1e9, maxFrames: 1, timeoutSeconds: 20 })
const FIXTURES = join(import.meta.dirname, '../fixtures')
const ENCODINGS: readonly JpegOptions[] = [
  {},
  { chromaSubsampling: '4:4:4' },
  { progressive: true },
  { progressive: true, chromaSubsampling: '4:4:4' },
  { mozjpeg: true },
]

/** What libvips reads; undefined if it reads nothing. */
async function decoded(bytes: Buffer): Promise<OriginalFacts | undefined> {
  return await engine.inspect({ bytes }).catch(() => undefined)
}

async function fixtures(): Promise<Buffer[]> {
  const names = (await readdir(FIXTURES)).filter((name) => name.endsWith('.jpg'))
  return await Promise.all(names.map(fixture))
}

test('Ordinary JPEGs have the facts that libvips reads', async () => {
  const scene = await fixture('mountains.jpg')
  for (const encoding of ENCODINGS) {
    for (const gray of [false, true]) {
      const image = sharp(scene).resize(301, 203).grayscale(gray).jpeg(encoding)
      const bytes = await image.withIccProfile('srgb').toBuffer()
      const facts = readJpegHeader(bytes)
      assert.ok(facts, JSON.stringify(encoding))
      assert.deepEqual(facts, await decoded(bytes), JSON.stringify(encoding))
    }
  }
  for (let orientation = 1; orientation <= 8; orientation += 1) {
    const bytes = await sharp(scene).resize(40).withMetadata({ orientation }).jpeg().toBuffer()
    assert.equal(readJpegHeader(bytes)?.orientation, orientation)
    assert.deepEqual(readJpegHeader(bytes), await decoded(bytes))
  }
})

test('Of the fixtures only CMYK is left to libvips', async () => {
  for (const bytes of await fixtures()) {
    const expected = await decoded(bytes)
    const { channels } = await sharp(bytes).metadata()
    assert.deepEqual(readJpegHeader(bytes), channels === 4 ? undefined : expected)
  }
})

test('A header that is cut is left to libvips, and no other format is taken for a JPEG', async () => {
  const bytes = await fixture('mountains-gps.jpg')
  const whole = readJpegHeader(bytes)
  assert.ok(whole)
  const found = Array.from({ length: bytes.length }, (_, size) => readJpegHeader(bytes.subarray(0, size)))
  const first = found.findIndex((facts) => facts !== undefined)
  assert.ok(first > 0)
  for (const facts of found.slice(first)) assert.deepEqual(facts, whole)
  for (const name of ['fig-alpha.png', 'stream.webp', 'dandelion.gif']) {
    assert.equal(readJpegHeader(await fixture(name)), undefined)
  }
})

test('Damaged JPEGs have the facts that libvips reads, or are left to libvips', async () => {
  const random = createRandom(7)
  const originals = await fixtures()
  let read = 0
  for (let round = 0; round < 600; round += 1) {
    const original = originals[round % originals.length]
    assert.ok(original)
    // The header is in the first bytes, and so are most of these mutations.
    const { bytes } = mutate(original.subarray(0, round % 2 === 0 ? 3000 : original.length), originals, random)
    const facts = readJpegHeader(bytes)
    const expected = facts && (await decoded(bytes))
    if (expected) read += 1
    if (expected) assert.deepEqual(facts, expected, `round ${round}`)
  }
  assert.ok(read > 50, `${read} could be compared`)
})
