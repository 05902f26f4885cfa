import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { mirroredAfter, settleSpec, turnedAfter, type Wish } from '../../../../src/domain/dialect/dialect-spec.ts'
import { formatSpec, parseSpec } from '../../../../src/domain/spec/spec.ts'
import { FITS, GRAVITIES, type Position } from '../../../../src/domain/spec/spec-option.ts'
import { cssColour } from '../../../../src/domain/text/css-colour.ts'

const SETTLED: readonly (readonly [wish: Wish, spec: string])[] = [
  [{ fit: 'cover', position: 'top', dpr: 2, up: true, width: 0 }, 'full'],
  [{ fit: 'cover', position: 'top', dpr: 2, up: true, width: 300 }, '300w,2x,up'],
  [{ fit: 'contain', position: 'smart', width: 300, height: 200 }, '300w200h,contain'],
  [{ fit: 'contain', position: 'top', width: 200, height: 200 }, '200w200h,contain,top'],
  [{ fit: 'cover', position: 'smart', width: 200, height: 200 }, '200s,smart'],
  [{ fit: 'inside', position: 'top', width: 200, height: 200 }, '200w200h'],
  [{ fit: 'fill', position: { x: 1, y: 2 }, width: 300, height: 200, dpr: 1 }, '300w200h,fill'],
  [{ fit: 'cover', background: 'FF00AA', rotate: 0, flip: false, gray: true }, 'full,bgff00aa,gray'],
]
for (const [wish, spec] of SETTLED) {
  test(`What can have no effect is left out: ${spec}`, () => {
    assert.equal(formatSpec(settleSpec(wish)), spec)
  })
}

test('Numbers that no spec can have are refused', () => {
  for (const wish of [{ width: 1_000_000 }, { quality: 101 }, { width: 1.5 }, { width: 3, dpr: 9 }, { blur: 51 }]) {
    assert.throws(() => settleSpec({ fit: 'inside', ...wish }), { name: 'RequestError', code: 'invalid_path' })
  }
})

const side = fc.option(fc.nat(5), { nil: undefined })
const flag = fc.boolean()
const percent = fc.integer({ min: 0, max: 10_000 }).map((value) => value / 100)
const position = fc.oneof<fc.Arbitrary<Position | undefined>[]>(
  fc.constantFrom(...GRAVITIES, 'smart', 'entropy', undefined),
  fc.record({ x: percent, y: percent }),
)
const anyWish: fc.Arbitrary<Wish> = fc.record({
  width: side,
  height: side,
  fit: fc.constantFrom(...FITS),
  position,
  rotate: fc.constantFrom(0, 90, 180, 270),
  flip: flag,
  flop: flag,
  up: flag,
})

test('Every wish within the limits has a canonical spec', () => {
  fc.assert(
    fc.property(anyWish, (wish) => {
      const spec = settleSpec(wish)
      assert.deepEqual(parseSpec(formatSpec(spec)), spec)
    }),
  )
})

test('Four quarter turns, or two times the same mirror, change nothing', () => {
  fc.assert(
    fc.property(anyWish, flag, flag, (wish, flip, flop) => {
      const spec = formatSpec(settleSpec(wish))
      const mirror = { flip, flop }
      assert.equal(formatSpec(settleSpec(mirroredAfter(mirroredAfter(wish, mirror), mirror))), spec)
      assert.equal(formatSpec(settleSpec(turnedAfter(turnedAfter(wish, 90), 270))), spec)
    }),
  )
})

test('A colour is a CSS name, or three or six hexadecimal digits', () => {
  const colours = { white: 'ffffff', AliceBlue: 'f0f8ff', yellowgreen: '9acd32', '0f8': '00ff88', '#0F8': '00ff88' }
  for (const [text, colour] of Object.entries({ ...colours, '12AB34': '12ab34' })) assert.equal(cssColour(text), colour)
  for (const text of ['', '#', 'ffff', '1234567', 'nocolour', 'constructor', 'rgb(0,0,0)']) {
    assert.equal(cssColour(text), undefined)
  }
})
