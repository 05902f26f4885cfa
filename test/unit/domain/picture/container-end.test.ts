import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { createContainerEnd } from '../../../../src/domain/picture/container-end.ts'

const FIXTURES = {
  'mountains.jpg': /EOI/,
  'brushes-p3.jpg': /EOI/,
  'fig-cmyk.jpg': /EOI/,
  'mountains-gps.jpg': /EOI/,
  'fig-alpha.png': /IEND/,
  'dandelion.gif': /trailer/,
  'stream.webp': /RIFF length/,
  'stream.avif': /last box/,
  'mountains.heic': /last box/,
} as const

const fixture = (name: string) => readFile(new URL(`../../../fixtures/${name}`, import.meta.url))

function missing(bytes: Buffer, chunkBytes = 65_536): string | undefined {
  const end = createContainerEnd()
  for (let at = 0; at < bytes.length; at += chunkBytes) end.push(bytes.subarray(at, at + chunkBytes))
  return end.missing()
}

for (const [name, what] of Object.entries(FIXTURES)) {
  test(`${name} ends with its last byte, and is incomplete without it, however it is divided`, async () => {
    const bytes = await fixture(name)
    for (const chunkBytes of [1, 7, 4096, 65_536]) assert.equal(missing(bytes, chunkBytes), undefined)
    for (const cut of [1, 2, 3, 5, 8, 11, 12, 13, 100, Math.floor(bytes.length / 2)]) {
      for (const chunkBytes of [3, 65_536]) {
        assert.match(
          missing(bytes.subarray(0, bytes.length - cut), chunkBytes) ?? 'complete',
          what,
          `${cut} bytes less`,
        )
      }
    }
  })

  test(`Bytes after the end of ${name} are no part of it`, async () => {
    const bytes = await fixture(name)
    // The boxes of AVIF and HEIF extend to the end of the file.
    const more = what.source === 'last box' ? Buffer.from('\0\0\0\x0cfree....', 'latin1') : Buffer.alloc(100, 0xd9)
    assert.equal(missing(Buffer.concat([bytes, more])), undefined)
  })
}

test('The end of a thumbnail within a JPEG is not the end of the JPEG', () => {
  const thumbnail = Buffer.from('ffd8ffd9', 'hex')
  const bytes = Buffer.concat([
    Buffer.from('ffd8ffe10006', 'hex'),
    thumbnail,
    Buffer.from('ffda0008010100003f00', 'hex'),
    // Stuffing, a restart marker and a fill byte.
    Buffer.from('12ff00d9ffd0ffffd9', 'hex'),
  ])
  assert.equal(missing(bytes), undefined)
  for (let cut = 1; cut < bytes.length - 4; cut += 1) {
    assert.match(missing(bytes.subarray(0, -cut)) ?? 'complete', /EOI/, `${cut} bytes less`)
  }
})

for (const [name, bytes] of Object.entries({
  'a TIFF': Buffer.from('II*\0\x08\0\0\0', 'latin1'),
  'an SVG': Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'),
  'no image': Buffer.from('%PDF-1.7 and more'),
  'a file of two bytes': Buffer.from('ab'),
  'an empty file': Buffer.alloc(0),
})) {
  test(`Of ${name} the end is left to the decoder`, () => assert.equal(missing(bytes), undefined))
}

for (const [name, hex] of Object.entries({
  'a RIFF without a length': '5249464600000000574542505650382000000000',
  'a box that is shorter than its header': '000000046674797000000000',
  'a GIF with an unknown block': '47494638396101000100000000ff00',
})) {
  test(`${name} does not end`, () => assert.notEqual(missing(Buffer.from(hex, 'hex')), undefined))
}
