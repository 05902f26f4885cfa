import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type CodedPicture,
  decodingBytes,
  defaultRenderMemory,
  encodingBytes,
} from '../../../../src/domain/picture/render-memory.ts'

const MB = 1e6
/** A picture of a million pixels. */
const PICTURE: CodedPicture = {
  format: 'jpeg',
  size: { width: 1000, height: 1000 },
  frames: 1,
  channels: 3,
  bytesPerSample: 1,
  progressive: false,
  halvedColours: false,
}

/** Never less than what was measured of a renderer's peak, in bytes a pixel, and not twice as much. */
const MEASURED = [
  ['a JPEG', {}, 0],
  ['a progressive JPEG', { progressive: true }, 9.5],
  ['a progressive JPEG, 4:2:0', { progressive: true, halvedColours: true }, 3.2],
  ['a PNG', { format: 'png' }, 0],
  ['an interlaced PNG', { format: 'png', progressive: true }, 3.75],
  [
    'an interlaced PNG of 16 bits with alpha',
    { format: 'png', progressive: true, channels: 4, bytesPerSample: 2 },
    16.5,
  ],
  ['a WebP', { format: 'webp' }, 3.1],
  ['an AVIF', { format: 'avif' }, 17.8],
  ['a GIF', { format: 'gif' }, 5.7],
  ['a TIFF of one strip', { format: 'tiff' }, 3.5],
] as const satisfies readonly (readonly [string, Partial<CodedPicture>, number])[]
for (const [name, more, bytesPerPixel] of MEASURED) {
  test(`Decoding ${name} is taken to need about as much memory as was measured`, () => {
    const estimated = decodingBytes({ ...PICTURE, ...more }) / MB
    assert.ok(estimated >= bytesPerPixel && estimated <= bytesPerPixel * 2, String(estimated))
  })
}

test('An AVIF takes most of what is encoded, an animation all of its frames, a drawing what it is drawn on', () => {
  const still = { size: PICTURE.size, whole: PICTURE.size, frames: 1 } as const
  assert.equal(encodingBytes({ ...still, format: 'avif' }, 'jpeg'), 31 * MB)
  assert.equal(encodingBytes({ ...still, format: 'jpg' }, 'jpeg'), 4 * MB)
  assert.equal(encodingBytes({ ...still, frames: 10, format: 'webp' }, 'gif'), 120 * MB)
  assert.equal(encodingBytes({ ...still, whole: { width: 2000, height: 1000 }, format: 'jpg' }, 'svg'), 32 * MB)
})

test('Renders get what a node and its renderers leave of the memory, and never nothing', () => {
  assert.equal(defaultRenderMemory(512 * 2 ** 20, 2), 196_870_912)
  assert.equal(defaultRenderMemory(24e9, 2), 1500 * MB)
  assert.equal(defaultRenderMemory(24e9, 8), 3200 * MB)
  assert.equal(defaultRenderMemory(128e6, 8), 64 * MB)
})
