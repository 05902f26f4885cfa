import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { displayedSize, type OriginalFacts } from '../../../../src/domain/picture/original-facts.ts'
import {
  decodingCost,
  expectedCost,
  type Plan,
  planCost,
  plannedSize,
  planTransform,
  sizeBeforeTurn,
} from '../../../../src/domain/picture/transform-plan.ts'
import { INPUT_FORMATS, OUTPUT_FORMATS } from '../../../../src/domain/spec/image-format.ts'
import { defaultFit, deviceBox, parseSpec } from '../../../../src/domain/spec/spec.ts'
import { anySpec } from '../../../../tools/fuzz/any-spec.ts'
import { FACTS } from '../../../support/memory-engine.ts'

const MAX_SIDE = 2000
const PHOTO: OriginalFacts = {
  format: 'jpeg',
  stored: { width: 4000, height: 3000 },
  orientation: 1,
  alpha: false,
  frames: 1,
}
const SMALL = { ...PHOTO, stored: { width: 120, height: 90 } }
const DRAWING = { ...SMALL, format: 'svg' } as const
const PORTRAIT = { ...PHOTO, orientation: 6 }

function plan(text: string, original: OriginalFacts = PHOTO): Plan {
  return planTransform(parseSpec(text), original, 'webp', MAX_SIDE)
}

const SIZES = [
  ['full', PHOTO, 2000, 1500],
  ['full', SMALL, 120, 90],
  ['full', PORTRAIT, 1500, 2000],
  ['400w', PHOTO, 400, 300],
  ['400w', PORTRAIT, 400, 533],
  ['400w,rot90', PHOTO, 400, 533],
  ['400w,rot180', PHOTO, 400, 300],
  ['400w,rot270', PORTRAIT, 400, 300],
  ['300h', PHOTO, 400, 300],
  ['400w,2x', PHOTO, 800, 600],
  ['400w', SMALL, 120, 90],
  ['400w,up', SMALL, 400, 300],
  ['400w400h', PHOTO, 400, 300],
  ['400w400h,outside', PHOTO, 533, 400],
  ['400w400h,fill', PHOTO, 400, 400],
  ['400w400h,contain', PHOTO, 400, 400],
  ['400w400h,contain', SMALL, 400, 400],
  ['400s', PHOTO, 400, 400],
  ['400s', SMALL, 90, 90],
  ['400s,up', SMALL, 400, 400],
  ['400w200h,cover', SMALL, 120, 60],
  ['400w200h,fill', SMALL, 120, 60],
  ['400w200h,fill,up', SMALL, 400, 200],
  ['100w,2x', SMALL, 120, 90],
  ['100s,2x', SMALL, 90, 90],
  ['100s,inside,2x', SMALL, 120, 90],
  ['100s,outside,2x', SMALL, 120, 90],
  ['100w50h,cover,4x', SMALL, 120, 60],
  ['100s,contain', SMALL, 100, 100],
  ['100s,contain,2x', SMALL, 120, 120],
  ['100s,contain,4x', SMALL, 120, 120],
  ['100w400h,contain,2x', SMALL, 120, 480],
  ['400s,contain,2x', SMALL, 400, 400],
  ['400s,contain,0.5x', SMALL, 200, 200],
  ['400s,contain,2x,up', SMALL, 800, 800],
  ['400s,contain,2x', PHOTO, 800, 800],
  ['200s,contain,2x', DRAWING, 400, 400],
  ['200s', DRAWING, 200, 200],
  ['400w', DRAWING, 400, 300],
  ['full', DRAWING, 120, 90],
] as const
for (const [text, original, width, height] of SIZES) {
  const { format, stored, orientation } = original
  const name = `${format} of ${stored.width}x${stored.height}, orientation ${orientation}`
  test(`"${text}" of a ${name}, is ${width}x${height}`, () => {
    assert.deepEqual(plannedSize(plan(text, original)), { width, height })
  })
}

const CROPS = {
  '300s': { left: 50, top: 0 },
  '300s,left': { left: 0, top: 0 },
  '300s,topleft': { left: 0, top: 0 },
  '300s,bottomright': { left: 100, top: 0 },
  '300s,at0x50': { left: 0, top: 0 },
  '300s,at50x50': { left: 50, top: 0 },
  '300s,at60x50': { left: 90, top: 0 },
  '300s,at100x100': { left: 100, top: 0 },
  '400w200h,cover,bottom': { left: 0, top: 100 },
  '400w200h,cover,at50x40': { left: 0, top: 20 },
} as const
for (const [text, { left, top }] of Object.entries(CROPS)) {
  test(`"${text}" crops a picture resized to 400x300 from ${left}, ${top}`, () => {
    const { resize, crop } = plan(text)
    assert.deepEqual(resize, { width: 400, height: 300 })
    assert.partialDeepStrictEqual(crop, { left, top })
  })
}

test('A contained picture lies where its position says', () => {
  assert.deepEqual(plan('400w400h,contain').pad, { width: 400, height: 400, left: 0, top: 50 })
  assert.deepEqual(plan('400w400h,contain,bottom').pad, { width: 400, height: 400, left: 0, top: 100 })
  assert.deepEqual(plan('400w400h,contain,topleft', SMALL).pad, { width: 400, height: 400, left: 0, top: 0 })
})

test('Only a picture with several frames, in a format that holds them, is animated', () => {
  const animation: OriginalFacts = { ...SMALL, format: 'gif', frames: 6 }
  const animated = (text: string, original: OriginalFacts) =>
    OUTPUT_FORMATS.filter((format) => planTransform(parseSpec(text), original, format, MAX_SIDE).animated)
  assert.deepEqual(animated('100w', animation), ['webp', 'gif'])
  assert.deepEqual(animated('100w,still', animation), [])
  assert.deepEqual(animated('100w', SMALL), [])
})

test('An animation is neither enlarged nor padded to more pixels than a still picture may have', () => {
  const animation: OriginalFacts = { ...SMALL, format: 'gif', frames: 100 }
  for (const text of ['full', '200w,up', '200s,contain']) assert.ok(plan(text, animation).animated)
  for (const text of ['300w,up', '300s,contain', '2000s,up']) {
    assert.throws(() => plan(text, animation), { name: 'RequestError', code: 'invalid_path', message: /still/ }, text)
    assert.ok(!plan(`${text},still`, animation).animated)
  }
  const large: OriginalFacts = { ...animation, stored: { width: 1000, height: 900 } }
  assert.ok(plan('full', large).animated, 'as large as it came')
})

test('What is transparent is white in a jpg, or of the colour asked for anywhere', () => {
  const background = (text: string, format: 'jpg' | 'png') =>
    planTransform(parseSpec(text), PHOTO, format, MAX_SIDE).background
  assert.equal(background('100w', 'jpg'), 'ffffff')
  assert.equal(background('100w,bg00ff00', 'jpg'), '00ff00')
  assert.equal(background('100w,bg00ff00', 'png'), '00ff00')
  assert.equal(background('100w', 'png'), undefined)
})

test('A blur is measured in CSS pixels', () => {
  assert.equal(plan('100w,2x,blur3').blur, 6)
  assert.equal(plan('100w,0.5x,blur0.6').blur, 0.3)
  assert.equal(plan('100w').blur, undefined)
})

test('A blur looks the same where the original has too few pixels for the density asked for', () => {
  assert.equal(plan('120w,2x,blur3', SMALL).blur, 3)
  assert.equal(plan('80w,2x,blur3', SMALL).blur, 4.5)
  assert.equal(plan('60s,2x,blur3', SMALL).blur, 4.5)
  assert.equal(plan('400w,2x,blur3', SMALL).blur, 3)
  assert.equal(plan('400w,2x,blur3,up', SMALL).blur, 6)
})

const side = fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 12_000 }))
const originals: fc.Arbitrary<OriginalFacts> = fc
  .tuple(side, side, fc.integer({ min: 1, max: 8 }))
  .map(([width, height, orientation]) => ({ ...PHOTO, stored: { width, height }, orientation }))
const cases = fc.record({
  spec: anySpec(MAX_SIDE / 4),
  original: originals,
  format: fc.constantFrom(...OUTPUT_FORMATS),
})

/** Checks a property of every plan there is. `maxScale` is the most that one side of the picture grows by. */
function forEveryPlan(check: (facts: { spec: ReturnType<typeof parseSpec>; made: Plan; picture: Picture }) => void) {
  fc.assert(
    fc.property(cases, ({ spec, original, format }) => {
      const { width, height } = displayedSize(original)
      const onSide = spec.rotate === 90 || spec.rotate === 270
      const picture = onSide ? { width: height, height: width } : { width, height }
      check({ spec, made: planTransform(spec, original, format, MAX_SIDE), picture })
    }),
    { numRuns: 1000 },
  )
}
type Picture = Readonly<{ width: number; height: number }>

test('Every plan gives whole pixels, at least one and never more than the longest side allowed', () => {
  forEveryPlan(({ made }) => {
    for (const { width, height } of [plannedSize(made), made.resize, sizeBeforeTurn(made)]) {
      assert.ok(Number.isInteger(width) && Number.isInteger(height) && width >= 1 && height >= 1)
    }
    const { width, height } = plannedSize(made)
    assert.ok(Math.max(width, height) <= MAX_SIDE)
  })
})

test('Nothing is enlarged unless the spec asks for it', () => {
  forEveryPlan(({ spec, made: { resize }, picture }) => {
    if (spec.up) return
    assert.ok(resize.width <= picture.width && resize.height <= picture.height)
  })
})

test('A canvas of more device pixels than CSS pixels is no larger than the picture can fill', () => {
  forEveryPlan(({ spec, made: { resize, pad }, picture }) => {
    if (spec.up || pad === undefined || (spec.dpr ?? 1) <= 1) return
    const { width = 1, height = 1 } = deviceBox({ ...spec, dpr: 1 })
    const isFilled = pad.width === resize.width || pad.height === resize.height
    assert.ok(isFilled || (pad.width <= width && pad.height <= height), `${picture.width}x${picture.height}`)
  })
})

test('Every crop lies within the resized picture, and every resized picture within its canvas', () => {
  forEveryPlan(({ made: { resize, crop, pad } }) => {
    if (crop) assertWithin(crop, resize)
    if (pad) assertWithin({ ...pad, ...resize }, pad)
  })
})

test('What is asked for is never exceeded, but by "outside"', () => {
  forEveryPlan(({ spec, made }) => {
    if (spec.fit === 'outside') return
    const box = deviceBox(spec)
    const { width, height } = plannedSize(made)
    assert.ok(width <= (box.width ?? Infinity) && height <= (box.height ?? Infinity))
  })
})

test('A cropped or filled box keeps its shape to a pixel, and has its full size where the picture is large enough', () => {
  forEveryPlan(({ spec, made, picture }) => {
    const fit = spec.fit ?? defaultFit(spec.size)
    const { width: boxWidth, height: boxHeight } = deviceBox(spec)
    if ((fit !== 'cover' && fit !== 'fill') || boxWidth === undefined || boxHeight === undefined) return
    const { width, height } = plannedSize(made)
    const shrunk = Math.min(width / boxWidth, height / boxHeight)
    assert.ok(Math.abs(width - boxWidth * shrunk) <= boxWidth / boxHeight + 1)
    assert.ok(Math.abs(height - boxHeight * shrunk) <= boxHeight / boxWidth + 1)
    if (picture.width >= boxWidth && picture.height >= boxHeight)
      assert.deepEqual([width, height], [boxWidth, boxHeight])
  })
})

test('All fits but "fill" keep the shape of the picture to a pixel', () => {
  forEveryPlan(({ spec, made: { resize }, picture }) => {
    if (spec.fit === 'fill') return
    const scale = Math.max(resize.width / picture.width, resize.height / picture.height)
    assert.ok(resize.width >= Math.floor(picture.width * scale) - picture.width / picture.height - 1)
    assert.ok(resize.height >= Math.floor(picture.height * scale) - picture.height / picture.width - 1)
  })
})

interface Box {
  readonly left?: number
  readonly top?: number
  readonly width: number
  readonly height: number
}

function assertWithin({ left = 0, top = 0, width, height }: Box, outer: Picture): void {
  assert.ok(left >= 0 && top >= 0 && left + width <= outer.width && top + height <= outer.height)
}

test('more pixels and more frames cost more, in every format', () => {
  for (const format of INPUT_FORMATS) {
    const small = { format, stored: { width: 1000, height: 500 } }
    const large = { format, stored: { width: 4000, height: 3000 } }
    assert.ok(decodingCost(small, 1) < decodingCost(large, 1), format)
    assert.ok(decodingCost(small, 1) < decodingCost(small, 10), format)
  }
  for (const format of OUTPUT_FORMATS) {
    assert.ok(expectedCost(parseSpec('100w'), format) < expectedCost(parseSpec('2000w'), format), format)
  }
})

test('an AVIF is expected to cost more than a JPEG, and a size is known from either side', () => {
  assert.ok(expectedCost(parseSpec('400w'), 'avif') > expectedCost(parseSpec('400w'), 'jpg'))
  assert.equal(expectedCost(parseSpec('400w')), expectedCost(parseSpec('400h')))
  assert.equal(expectedCost(parseSpec('400s')), expectedCost(parseSpec('400w400h')))
  assert.equal(expectedCost(parseSpec('full')), expectedCost(parseSpec('1000s')))
  assert.equal(expectedCost(parseSpec('200s,2x')), expectedCost(parseSpec('400s')))
})

test('an animation costs all of its frames, and its still picture one', () => {
  const facts = { ...FACTS, format: 'gif', frames: 20 } as const
  const cost = (spec: string) => planCost(planTransform(parseSpec(spec), facts, 'webp', 8192), facts.frames)
  assert.ok(cost('400w') > 10 * cost('400w,still'))
})
