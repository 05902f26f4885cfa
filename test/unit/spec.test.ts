import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { assertSideLimit, deviceBox, formatSpec, parseSpec, type Spec } from '../../src/domain/spec.ts'
import { RequestError } from '../../src/errors.ts'
import { anySpec } from '../support/any-spec.ts'

const PARSED: Readonly<Record<string, Spec>> = {
  full: { size: { kind: 'full' } },
  '400w': { size: { kind: 'box', width: 400 } },
  '300h': { size: { kind: 'box', height: 300 } },
  '400w300h': { size: { kind: 'box', width: 400, height: 300 } },
  '100s': { size: { kind: 'square', side: 100 } },
  '400w300h,cover,smart': { size: { kind: 'box', width: 400, height: 300 }, fit: 'cover', position: 'smart' },
  '100s,inside': { size: { kind: 'square', side: 100 }, fit: 'inside' },
  '200s,2x,q60': { size: { kind: 'square', side: 200 }, dpr: 2, quality: 60 },
  '100s,at33.3x0.5': { size: { kind: 'square', side: 100 }, position: { x: 33.3, y: 0.5 } },
  '400w300h,contain,topleft,1.25x,q80,up,bgff00aa,rot90,flip,flop,gray,blur0.6,sharpen,still': {
    size: { kind: 'box', width: 400, height: 300 },
    fit: 'contain',
    position: 'topleft',
    dpr: 1.25,
    quality: 80,
    up: true,
    background: 'ff00aa',
    rotate: 90,
    flip: true,
    flop: true,
    gray: true,
    blur: 0.6,
    sharpen: true,
    still: true,
  },
}
for (const [text, spec] of Object.entries(PARSED)) {
  test(`"${text}" parses, and formats back to itself`, () => {
    assert.deepEqual(parseSpec(text), spec)
    assert.equal(formatSpec(spec), text)
  })
}

const CANONICAL = {
  '300h400w': '400w300h',
  '100h300w': '300w100h',
  '0400w': '400w',
  '400W': '400w',
  FULL: 'full',
  '100s,cover': '100s',
  '100s,cover,center': '100s',
  '400w,inside': '400w',
  '400w300h,inside': '400w300h',
  '400w300h,cover,center': '400w300h,cover',
  '400w300h,smart,cover': '400w300h,cover,smart',
  '100s,q60,2x': '100s,2x,q60',
  '100s,1x': '100s',
  '100s,1.0x': '100s',
  '100s,1.50x': '100s,1.5x',
  '100s,02x': '100s,2x',
  '100s,.5x': '100s,0.5x',
  '100s,2.x': '100s,2x',
  '100s,q080': '100s,q80',
  '100s,at050.00x7.10': '100s,at50x7.1',
  '100s,BGFF00AA': '100s,bgff00aa',
  '400w,still,sharpen,blur02.50,gray,flop,flip,rot90,up': '400w,up,rot90,flip,flop,gray,blur2.5,sharpen,still',
} as const
for (const [text, canonical] of Object.entries(CANONICAL)) {
  test(`"${text}" is another spelling of "${canonical}"`, () => {
    assert.equal(formatSpec(parseSpec(text)), canonical)
    assert.equal(formatSpec(parseSpec(canonical)), canonical)
  })
}

const INVALID: Readonly<Record<string, RegExp>> = {
  '': /is not a size/,
  '0w': /is not a size/,
  '-1w': /is not a size/,
  '1.5w': /is not a size/,
  '1000000w': /is not a size/,
  w: /is not a size/,
  '100': /is not a size/,
  '400w400w': /is not a size/,
  '400w300h200w': /is not a size/,
  '300h300h': /is not a size/,
  '100s100w': /is not a size/,
  '100s ': /is not a size/,
  '٤w': /is not a size/,
  '100s,': /"" is not an option/,
  '100s,,q60': /"" is not an option/,
  '100s,nonsense': /"nonsense" is not an option/,
  '100s,rot45': /"rot45" is not an option/,
  '100s,rot0': /"rot0" is not an option/,
  '100s,bgfff': /"bgfff" is not an option/,
  '100s,bgggghhh': /is not an option/,
  '100s,q60.5': /is not an option/,
  '100s,q0': /from 1 to 100/,
  '100s,q101': /from 1 to 100/,
  '100s,0.4x': /from 0.5 to 4/,
  '100s,4.01x': /from 0.5 to 4/,
  '100s,1.255x': /two decimal places/,
  '100s,1.2.3x': /should be a number/,
  '100s,.x': /should be a number/,
  '100s,at101x0': /from 0 to 100/,
  '100s,at1.234x0': /two decimal places/,
  '100s,blur0.5': /from 0.6 to 50/,
  '100s,blur51': /from 0.6 to 50/,
  '100s,blur': /is not an option/,
  '100s,q60,q60': /a second q/,
  '100s,cover,inside': /a second fit/,
  '100s,top,smart': /a second position/,
  '100s,up,up': /a second up/,
  '400w,cover': /needs both sides/,
  '300h,contain': /needs both sides/,
  '400w,fill': /needs both sides/,
  '400w,top': /one side alone/,
  '400w,center': /one side alone/,
  '400w300h,top': /no effect with the fit "inside"/,
  '400w300h,center': /no effect with the fit "inside"/,
  '100s,fill,top': /no effect with the fit "fill"/,
  '100s,outside,smart': /no effect with the fit "outside"/,
  '100s,contain,smart': /crops nothing/,
  '100s,contain,entropy': /crops nothing/,
  '100s,contain,at1x1': /crops nothing/,
  'full,cover': /has no box/,
  'full,inside': /has no box/,
  'full,top': /has no box/,
  'full,center': /has no box/,
  'full,2x': /has no box/,
  'full,1x': /has no box/,
  'full,up': /has no box/,
}
for (const [text, reason] of Object.entries(INVALID)) {
  test(`"${text}" is refused with the reason`, () => {
    assert.throws(
      () => parseSpec(text),
      (error) => {
        assert.ok(error instanceof RequestError)
        assert.equal(error.code, 'invalid_path')
        assert.match(error.message, reason)
        return true
      },
    )
  })
}

test('Parsing and formatting are inverses for every spec there is', () => {
  fc.assert(fc.property(anySpec(), (spec) => assert.deepEqual(parseSpec(formatSpec(spec)), spec)))
})

test('Options in any order and case give the same canonical text, which is its own canonical text', () => {
  const shuffled = anySpec().chain((spec) => {
    const [size = '', ...options] = formatSpec(spec).split(',')
    const order = fc.shuffledSubarray(options, { minLength: options.length })
    return fc.record({
      spec: fc.constant(spec),
      text: order.map((tokens) => [size, ...tokens].join(',')),
      upper: fc.boolean(),
    })
  })
  fc.assert(
    fc.property(shuffled, ({ spec, text, upper }) => {
      const canonical = formatSpec(parseSpec(upper ? text.toUpperCase() : text))
      assert.equal(canonical, formatSpec(spec))
      assert.equal(formatSpec(parseSpec(canonical)), canonical)
    }),
  )
})

test('Any text parses or is refused as a request, and never otherwise', () => {
  const alphabet = fc.constantFrom(...'0123456789wshxqatbglurofipnver.,-% '.split(''))
  const texts = fc.oneof(fc.string(), fc.string({ unit: alphabet, maxLength: 40 }))
  fc.assert(
    fc.property(texts, (text) => {
      try {
        const canonical = formatSpec(parseSpec(text))
        assert.equal(formatSpec(parseSpec(canonical)), canonical)
      } catch (error) {
        if (!(error instanceof RequestError)) throw error
      }
    }),
  )
})

test('A box in device pixels is that of the spec times x, rounded, at least a pixel', () => {
  assert.deepEqual(deviceBox(parseSpec('full')), {})
  assert.deepEqual(deviceBox(parseSpec('333w,1.5x')), { width: 500 })
  assert.deepEqual(deviceBox(parseSpec('1h,0.5x')), { height: 1 })
  assert.deepEqual(deviceBox(parseSpec('100s,2.25x')), { width: 225, height: 225 })
})

test('The limit of a side holds for device pixels', () => {
  assertSideLimit(parseSpec('4096w,2x'), 8192)
  assertSideLimit(parseSpec('full'), 8192)
  assert.throws(() => assertSideLimit(parseSpec('4097w,2x'), 8192), { code: 'invalid_path', message: /8192/ })
  assert.throws(() => assertSideLimit(parseSpec('1w8193h'), 8192), { code: 'invalid_path' })
})
