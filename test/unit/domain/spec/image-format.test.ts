import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodingCost } from '../../../../src/domain/picture/encoding.ts'
import { negotiateFormat, pictureTraits } from '../../../../src/domain/picture/negotiate-format.ts'
import {
  ACCEPT_CLASSES,
  acceptClass,
  CHOSEN_FORMATS,
  canAnimate,
  isInputFormat,
} from '../../../../src/domain/spec/image-format.ts'
import { parseSpec } from '../../../../src/domain/spec/spec.ts'

// test/integration/nginx-hits.test.ts holds nginx.conf's map to the same function.
const ACCEPTS = [
  [undefined, 'other'],
  ['', 'other'],
  ['*/*', 'other'],
  ['image/*,*/*;q=0.8', 'other'],
  ['image/avif', 'avif'],
  ['image/webp', 'webp'],
  ['image/webp,image/avif', 'avif'],
  ['image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8', 'avif'],
  ['image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8', 'webp'],
  ['image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5', 'other'],
  ['text/html, application/xhtml+xml,\timage/webp ; q=0.5', 'webp'],
  ['IMAGE/AVIF;Q=1', 'avif'],
  ['image/avif;q=0', 'other'],
  ['image/avif;q=0.000, image/webp;q=0.001', 'webp'],
  ['image/avif ; q=0 , image/webp', 'webp'],
  ['image/avif;level=1;q=0,image/webp;q=0', 'other'],
  ['image/avif;q=0.01', 'avif'],
  ['image/avif;q=0.5;x=1,image/webp', 'avif'],
  ['image/avif-sequence', 'other'],
  ['ximage/webp', 'other'],
  ['image/webp2, image/png', 'other'],
] as const
for (const [accept, expected] of ACCEPTS) {
  test(`A client that accepts ${JSON.stringify(accept)} is of the class "${expected}"`, () => {
    assert.equal(acceptClass(accept), expected)
  })
}

const NEGOTIATED = [
  { accepted: 'avif', alpha: false, animated: false, format: 'avif' },
  { accepted: 'avif', alpha: true, animated: false, format: 'avif' },
  { accepted: 'avif', alpha: false, animated: true, format: 'webp' },
  { accepted: 'avif', alpha: true, animated: true, format: 'webp' },
  { accepted: 'webp', alpha: false, animated: false, format: 'webp' },
  { accepted: 'webp', alpha: true, animated: true, format: 'webp' },
  { accepted: 'other', alpha: false, animated: false, format: 'jpg' },
  { accepted: 'other', alpha: true, animated: false, format: 'png' },
  { accepted: 'other', alpha: false, animated: true, format: 'gif' },
  { accepted: 'other', alpha: true, animated: true, format: 'gif' },
] as const
for (const { accepted, alpha, animated, format } of NEGOTIATED) {
  test(`"${accepted}" is answered ${format} where alpha is ${alpha} and animation is ${animated}`, () => {
    assert.equal(negotiateFormat(accepted, { source: 'jpeg', alpha, animated, pixels: 1 }, false), format)
  })
}

test('Every format that is negotiated is one that nginx looks for, and holds an animation if there is one', () => {
  for (const accepted of ACCEPT_CLASSES) {
    const formats: readonly string[] = CHOSEN_FORMATS[accepted]
    for (const alpha of [false, true]) {
      assert.ok(
        formats.includes(negotiateFormat(accepted, { source: 'jpeg', alpha, animated: false, pixels: 1 }, true)),
      )
      const format = negotiateFormat(accepted, { source: 'jpeg', alpha, animated: true, pixels: 1 }, true)
      assert.ok(formats.includes(format) && canAnimate(format))
    }
  }
})

test('Whoever waits is given AVIF only where encoding it takes at most half as long again as WebP', () => {
  for (const pixels of [1, 30_000, 120_000, 480_000, 3_000_000, 30_000_000]) {
    const format = encodingCost('avif', pixels) <= 1.5 * encodingCost('webp', pixels) ? 'avif' : 'webp'
    const picture = { source: 'jpeg', alpha: false, animated: false, pixels } as const
    assert.equal(negotiateFormat('avif', picture, true), format)
    assert.equal(negotiateFormat('avif', picture, false), 'avif')
  }
})

test('What a format is chosen by is the finished picture, not the original', () => {
  const original = {
    format: 'jpeg',
    stored: { width: 4000, height: 3000 },
    orientation: 6,
    alpha: false,
    frames: 1,
  } as const
  assert.deepEqual(pictureTraits(parseSpec('300w'), original, 8192), {
    source: 'jpeg',
    alpha: false,
    animated: false,
    pixels: 120_000,
  })
  const animation = { ...original, format: 'gif', orientation: 1, frames: 9 } as const
  assert.equal(pictureTraits(parseSpec('300w'), animation, 8192).animated, true)
  assert.equal(pictureTraits(parseSpec('300w,still'), animation, 8192).animated, false)
})

const SOURCES = {
  jpeg: 'jpg',
  png: 'png',
  webp: 'webp',
  avif: 'avif',
  gif: 'gif',
  tiff: 'png',
  svg: 'png',
  heif: 'jpg',
} as const
for (const [source, format] of Object.entries(SOURCES)) {
  test(`Who wants what the original has gets ${format} of ${source}`, () => {
    assert.ok(isInputFormat(source))
    for (const waits of [true, false]) {
      assert.equal(
        negotiateFormat('source', { source, alpha: false, animated: false, pixels: 10_000_000 }, waits),
        format,
      )
    }
    const formats: readonly string[] = CHOSEN_FORMATS.source
    assert.ok(formats.includes(format))
  })
}
