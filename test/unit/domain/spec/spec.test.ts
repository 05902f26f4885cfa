import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  assertSideLimit,
  deviceBox,
  formatSpec,
  parseSpec,
  SPEC_PATTERN,
  type Spec,
} from '../../../../src/domain/spec/spec.ts'
import { RequestError } from '../../../../src/errors.ts'
import { anySpec } from '../../../../tools/fuzz/any-spec.ts'

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

const LENGTH = 'write an integer number of pixels from 1 to 999999'
const PLACES = 'with at most two decimal places'
const OPTIONS =
  'write inside, cover, contain, fill, outside, center, top, topright, right, bottomright, bottom, bottomleft, left, ' +
  'topleft, smart, entropy, at30x70, 2x, q80, up, bgff8800, rot90, flip, flop, gray, blur5, sharpen or still'

const INVALID: Readonly<Record<string, string>> = {
  '': '"" is not a size: write full, 400w, 300h, 400w300h or 100s',
  w: '"w" is not a size: write full, 400w, 300h, 400w300h or 100s',
  large: '"large" is not a size: write full, 400w, 300h, 400w300h or 100s',
  'thumb-400w': '"thumb-400w" is not a size: write full, 400w, 300h, 400w300h or 100s',
  '400w400w': '"400w400w" is not a size: write full, 400w, 300h, 400w300h or 100s',
  '400w300h200w': '"400w300h200w" is not a size: write full, 400w, 300h, 400w300h or 100s',
  '300h300h': '"300h300h" is not a size: write full, 400w, 300h, 400w300h or 100s',
  '100s100w': '"100s100w" is not a size: write full, 400w, 300h, 400w300h or 100s',
  '٤w': '"٤w" is not a size: write full, 400w, 300h, 400w300h or 100s',
  '0w': `"0w" is not a length: ${LENGTH}, as in 400w`,
  '-1w': `"-1w" is not a length: ${LENGTH}, as in 400w`,
  '+1w': `"+1w" is not a length: ${LENGTH}, as in 400w`,
  '1.5w': `"1.5w" is not a length: ${LENGTH}, as in 400w`,
  '200.5w': `"200.5w" is not a length: ${LENGTH}, as in 400w`,
  '1e9w': `"1e9w" is not a length: ${LENGTH}, as in 400w`,
  '1000000w': `"1000000w" is not a length: ${LENGTH}, as in 400w`,
  '400w0h': `"0h" is not a length: ${LENGTH}, as in 400h`,
  '100s,nonsense': `"nonsense" is not an option: ${OPTIONS}`,
  '100s,fit': `"fit" is not an option: ${OPTIONS}`,
  '100s,position': `"position" is not an option: ${OPTIONS}`,
  '100s,80': `"80" is not an option: ${OPTIONS}`,
  '100s,webp': '"webp" is a format, not an option: write it as the extension, as in 400w.webp',
  '100s,rot45': '"rot45" is not a rotation: write rot90, rot180 or rot270',
  '100s,rot0': '"rot0" is not a rotation: write rot90, rot180 or rot270',
  '100s,bgggghhh': '"bgggghhh" is not a background: write six hexadecimal digits, as in bgff8800',
  '100s,q0': '"q0" is not a quality: write an integer from 1 to 100, as in q80',
  '100s,q': '"q" is not a quality: write an integer from 1 to 100, as in q80',
  '100s,q101': '"q101" is not a quality: write an integer from 1 to 100, as in q80',
  '100s,q85.5': '"q85.5" is not a quality: write an integer from 1 to 100, as in q80',
  '100s,0.4x': `"0.4x" is not a pixel ratio: write a number from 0.5 to 4 ${PLACES}, as in 1.5x`,
  '100s,4.01x': `"4.01x" is not a pixel ratio: write a number from 0.5 to 4 ${PLACES}, as in 1.5x`,
  '100s,1.255x': `"1.255x" is not a pixel ratio: write a number from 0.5 to 4 ${PLACES}, as in 1.5x`,
  '100s,1.2.3x': `"1.2.3x" is not a pixel ratio: write a number from 0.5 to 4 ${PLACES}, as in 1.5x`,
  '100s,.x': `".x" is not a pixel ratio: write a number from 0.5 to 4 ${PLACES}, as in 1.5x`,
  '100s,at101x0': `"at101x0" is not a focal point: write two numbers from 0 to 100 ${PLACES}, as in at30x70`,
  '100s,at1.234x0': `"at1.234x0" is not a focal point: write two numbers from 0 to 100 ${PLACES}, as in at30x70`,
  '100s,at30': `"at30" is not a focal point: write two numbers from 0 to 100 ${PLACES}, as in at30x70`,
  '100s,blur0.5': `"blur0.5" is not a blur: write a number from 0.6 to 50 ${PLACES}, as in blur5`,
  '100s,blur51': `"blur51" is not a blur: write a number from 0.6 to 50 ${PLACES}, as in blur5`,
  '100s,blur': `"blur" is not a blur: write a number from 0.6 to 50 ${PLACES}, as in blur5`,
  '100s,q60,q60': '"q60" is repeated: write it once',
  '100s,q60,q70': '"q60" and "q70" cannot be combined: use one of them',
  '100s,cover,inside': '"cover" and "inside" cannot be combined: use one of them',
  '100s,top,smart': '"top" and "smart" cannot be combined: use one of them',
  '100s,up,up': '"up" is repeated: write it once',
  '400w,cover': '"cover" requires a width and a height, as in 400w300h,cover',
  '300h,contain': '"contain" requires a width and a height, as in 400w300h,contain',
  '500w,fill': '"fill" requires a width and a height, as in 500w300h,fill',
  '400w,top': '"top" requires a width, a height and "cover" or "contain", as in 400w300h,cover,top',
  '400w,center': '"center" requires a width, a height and "cover" or "contain", as in 400w300h,cover',
  '400w,at1x2': '"at1x2" requires a width, a height and "cover" or "contain", as in 400w300h,cover,at1x2',
  '400w300h,top': '"top" has no effect without "cover" or "contain": write 400w300h,cover,top',
  '400w300h,center': '"center" has no effect without "cover" or "contain": write 400w300h,cover',
  '100s,fill,top': '"top" has no effect with "fill": write 100s,top',
  '100s,outside,smart': '"smart" has no effect with "outside": write 100s,smart',
  '100s,contain,smart': '"smart" selects the crop area, and "contain" does not crop: write 100s,smart',
  '100s,contain,entropy': '"entropy" selects the crop area, and "contain" does not crop: write 100s,entropy',
  '100s,contain,at1x1': '"at1x1" selects the crop area, and "contain" does not crop: write 100s,at1x1',
  'full,cover': '"full" keeps the whole image: "cover" has no effect on it',
  'full,inside': '"full" keeps the whole image: "inside" has no effect on it',
  'full,top': '"full" keeps the whole image: "top" has no effect on it',
  'full,center': '"full" keeps the whole image: "center" has no effect on it',
  'full,2x': '"full" keeps the whole image: "2x" has no effect on it',
  'full,1x': '"full" keeps the whole image: "1x" has no effect on it',
  'full,up': '"full" keeps the whole image: "up" has no effect on it',
}
for (const [text, reason] of Object.entries(INVALID)) {
  test(`"${text}" is refused with the reason and with words that can be typed`, () => {
    assert.throws(
      () => parseSpec(text),
      (error) => {
        assert.ok(error instanceof RequestError)
        assert.equal(error.code, 'invalid_path')
        assert.equal(error.message, reason)
        return true
      },
    )
  })
}

const NEAREST = {
  '400w@2x': '400w,2x',
  '400w;q=80': '400w,q80',
  '400width': '400w',
  '400wide': '400w',
  '400px': '400w',
  '400': '400w',
  '400w ': '400w',
  '400w,': '400w',
  ',400w': '400w',
  '400x300': '400w300h',
  '400w300': '400w300h',
  '400w x 300h': '400w300h',
  '400w-300h': '400w300h',
  'width=400&height=300': '400w300h',
  'w_400,h_300,c_fill': '400w300h,fill',
  w400: '400w',
  '100sq': '100s',
  '2x,400w': '400w,2x',
  '100s,@2x': '100s,2x',
  '100s,dpr=2': '100s,2x',
  '100s,x1.5': '100s,1.5x',
  '100s,q=80': '100s,q80',
  '100s,quality:80': '100s,q80',
  '100s,q80%': '100s,q80',
  '100s,bgfff': '100s,bgffffff',
  '100s,bg#ff8800': '100s,bgff8800',
  '100s,background=red': '100s,bgff0000',
  '100s,rotate90': '100s,rot90',
  '100s,blur=2.5': '100s,blur2.5',
  '100s,covre': '100s',
  '100s,containn': '100s,contain',
  '400w300h,covr,smrat': '400w300h,cover,smart',
  '400w300h,crop,north': '400w300h,cover,top',
  '400w300h,fit=cover,top-left': '400w300h,cover,topleft',
  '400w300h,cover,at=30x70': '400w300h,cover,at30x70',
  '100s,grey': '100s,gray',
  '100s,stil': '100s,still',
  fulll: 'full',
  'full;q=80': 'full,q80',
} as const
for (const [text, nearest] of Object.entries(NEAREST)) {
  test(`"${text}" is refused, and "${nearest}" is suggested`, () => {
    assert.throws(
      () => parseSpec(text),
      (error) => {
        assert.ok(error instanceof RequestError)
        const [reason = '', suggestion] = error.message.split('; did you mean ')
        assert.match(reason, /^".*" is not an? [a-z ]+(?:: write [a-z0-9 ,.]+)?$/)
        assert.equal(suggestion, `"${nearest}"?`)
        return true
      },
    )
    assert.equal(formatSpec(parseSpec(nearest)), nearest)
  })
}

test('Every canonical spec matches the pattern by which nginx looks for its file', () => {
  const pattern = new RegExp(`^${SPEC_PATTERN}$`)
  fc.assert(fc.property(anySpec(), (spec) => assert.match(formatSpec(spec), pattern)))
})

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
