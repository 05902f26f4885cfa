import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  ACCEPT_CLASSES,
  acceptClass,
  CLASS_FORMATS,
  canAnimate,
  negotiateFormat,
} from '../../src/domain/image-format.ts'

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
    assert.equal(negotiateFormat(accepted, { alpha, animated }), format)
  })
}

test('Every format that is negotiated is one that nginx looks for, and holds an animation if there is one', () => {
  for (const accepted of ACCEPT_CLASSES) {
    const formats: readonly string[] = CLASS_FORMATS[accepted]
    for (const alpha of [false, true]) {
      assert.ok(formats.includes(negotiateFormat(accepted, { alpha, animated: false })))
      const format = negotiateFormat(accepted, { alpha, animated: true })
      assert.ok(formats.includes(format) && canAnimate(format))
    }
  }
})
