import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseReticulumSize, parseSpecOrReticulumSize } from '../../../../src/domain/dialect/reticulum-answer.ts'
import { formatSpec, parseSpec } from '../../../../src/domain/spec/spec.ts'
import { formatImagePath, parseImagePath } from '../../../../src/domain/url/picture-url.ts'
import { anySpec } from '../../../../tools/fuzz/any-spec.ts'

const ID = '3f2a'.padEnd(40, '0')

/** As Reticulum reads them, and what it redirects them to. */
const TOLERATED = {
  '400w': '400w',
  '300h': '300h',
  '100s': '100s',
  '400w300h': '400w300h',
  '300h400w': '400w300h',
  '100s400w': '100s',
  '400w300h100s': '100s',
  'thumb-400w': '400w',
  '400wide': '400w',
  '400w x 300h': '400w300h',
  '400w300h.jpg': '400w300h',
  '400w200w': '400w',
  h400w: '400w',
  '-400w': '400w',
  '0400w!': '400w',
  full100s: '100s',
  '400w0': '400w',
  '0w100s': '100s',
  '12.5w': '5w',
  '400wé': '400w',
} as const
for (const [text, canonical] of Object.entries(TOLERATED)) {
  test(`Reticulum's "${text}" is ${canonical}`, () => {
    const spec = parseReticulumSize(text)
    assert.equal(spec && formatSpec(spec), canonical)
    const path = `/image/${ID}/${encodeURIComponent(text)}/a.jpg`
    assert.deepEqual(parseImagePath(path, parseSpecOrReticulumSize).spec, parseSpec(canonical))
    // Without RETICULUM_SIZES only what is a spec as well.
    const isSpec = /^(?:\d+[whs]|\d+w\d+h|\d+h\d+w)$/.test(text)
    if (isSpec) assert.deepEqual(parseImagePath(path).spec, parseSpec(canonical))
    else assert.throws(() => parseImagePath(path), { code: 'invalid_path' })
  })
}

for (const text of [
  '',
  'w',
  'thumb',
  '400',
  '400W!',
  'fulll',
  '0s',
  '0w',
  '00w!',
  '400w0h',
  '0w300h!',
  '0s400w',
  '1000000w',
  '400w99999999999999999999h',
  `${'9'.repeat(400)}w`,
  'x400w,q60',
  '400w/x',
  '400w\0',
  '400w\n',
]) {
  test(`${JSON.stringify(text.slice(0, 40))} is no size, and is refused with the reason of our own grammar`, () => {
    assert.equal(parseReticulumSize(text), undefined)
    assert.throws(() => parseSpecOrReticulumSize(text), { name: 'RequestError', code: 'invalid_path' })
  })
}

test('A spec of ours keeps its meaning, and options are never overheard', () => {
  fc.assert(fc.property(anySpec(), (spec) => assert.deepEqual(parseSpecOrReticulumSize(formatSpec(spec)), spec)))
  assert.throws(() => parseSpecOrReticulumSize('400w,cover'), { message: /requires a width and a height/ })
})

test('Whatever it makes of a text is canonical', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'0129swhful x'.split('')) }), (text) => {
      const spec = parseReticulumSize(text)
      if (spec === undefined) return
      const path = formatImagePath({ original: { kind: 'image', id: ID }, spec })
      assert.equal(formatImagePath(parseImagePath(path)), path)
    }),
  )
})
