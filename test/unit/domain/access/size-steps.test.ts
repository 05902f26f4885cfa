import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { admit, admitOtherwise, primedSpecs, type SizePolicy } from '../../../../src/domain/access/size-policy.ts'
import {
  countSpecs,
  createSizeSteps,
  DEFAULT_STEPS,
  maxFilesPerPicture,
  stepSpec,
} from '../../../../src/domain/access/size-steps.ts'
import { deviceBox, formatSpec, parseSpec, type Spec } from '../../../../src/domain/spec/spec.ts'
import { parseImagePath } from '../../../../src/domain/url/picture-url.ts'

const LISTED = [
  '400w,q80',
  '400w,2x',
  '100s,2x',
  '1200w630h,cover',
  '400w300h,cover,top',
  '400w300h,contain',
  '400w300h,outside',
]
const SIDES = DEFAULT_STEPS.split(' ').map(Number)
const LARGEST = SIDES.at(-1) ?? 0
const SMALLEST = SIDES[0] ?? 0
const STEPS = createSizeSteps({ sides: SIDES, sizes: LISTED.map(parseSpec), maxSide: 8192 })

const step = (text: string, steps = STEPS) => formatSpec(stepSpec(parseSpec(text), steps))

const SERVED = {
  full: 'full',
  '320w': '320w',
  '321w': '480w',
  '1w': '40w',
  '99999w': '3840w',
  '300h': '320h',
  '100s': '160s',
  '400w,q80': '480w,q80',
  '3000w,2x': '3840w,2x',
  // The picture keeps its shape: each side is a bound of its own.
  '400w300h': '480w320h',
  '100w5000h': '160w3840h',
  '400w300h,outside': '480w320h,outside',
  // The picture has the shape of the box.
  '400w300h,cover': '480w360h,cover',
  '401w301h,cover': '480w360h,cover',
  '1000w563h,cover': '1024w576h,cover',
  '600w315h,cover': '640w336h,cover',
  '300w400h,cover,top': '320w427h,cover,top',
  '333w333h,cover': '480w480h,cover',
  '2w2h,cover': '40w40h,cover',
  '500w333h,contain': '640w427h,contain',
  '9999w9999h,cover': '3840w3840h,cover',
} as const
for (const [asked, served] of Object.entries(SERVED)) {
  test(`With steps, "${asked}" is served as "${served}"`, () => assert.equal(step(asked), served))
}

test('A pixel ratio leaves out the steps that are too large with it', () => {
  const steps = createSizeSteps({ sides: SIDES, sizes: ['400w,4x', '400w300h,cover,4x'].map(parseSpec), maxSide: 8192 })
  assert.equal(step('1500w,4x', steps), '1600w,4x')
  assert.equal(step('2040w,4x', steps), '2048w,4x')
  assert.equal(step('3000w,4x', steps), '2048w,4x')
  assert.equal(step('3000w4000h,cover,4x', steps), '1280w1707h,cover,4x')
})

test('Options are allowed in the listed combinations only, and the error names those', () => {
  for (const text of [
    '400w,q81',
    '300h,q80',
    '100s,q80',
    '400w,q80,gray',
    'full,gray',
    '400w300h,cover,at30x70',
    '400w300h,fill',
    '400w,3x',
  ]) {
    assert.throws(() => step(text), { name: 'RequestError', code: 'size_not_allowed' }, text)
  }
  assert.throws(() => step('401w,q81'), {
    message: `"401w,q81" is not an allowed combination: write full, 400w, 300h, 100s, 400w300h, 1200w630h,cover, ${[
      '400w,q80',
      '400w,2x',
      '100s,2x',
      '400w300h,cover,top',
      '400w300h,contain',
      '400w300h,outside',
    ].join(', ')}, each in any size (SIZES)`,
  })
})

const length = fc.integer({ min: 1, max: 12_000 })
const COMBINATIONS: readonly ((w: number, h: number) => string)[] = [
  (w) => `${w}w`,
  (_, h) => `${h}h`,
  (w) => `${w}s`,
  (w, h) => `${w}w${h}h`,
  (w, h) => `${w}w${h}h,cover`,
  (w) => `${w}w,q80`,
  (w) => `${w}w,2x`,
  (w) => `${w}s,2x`,
  (w, h) => `${w}w${h}h,cover,top`,
  (w, h) => `${w}w${h}h,contain`,
  (w, h) => `${w}w${h}h,outside`,
]
const anySpec = fc
  .tuple(length, length, fc.constantFrom(...COMBINATIONS))
  .map(([width, height, write]) => parseSpec(write(width, height)))

test('A step is its own step', () => {
  fc.assert(
    fc.property(anySpec, (spec) => {
      const once = stepSpec(spec, STEPS)
      assert.equal(formatSpec(stepSpec(once, STEPS)), formatSpec(once))
    }),
    { numRuns: 5000 },
  )
})

test('A step is not smaller than the request on either side, unless the largest step is, and within MAX_SIDE', () => {
  fc.assert(
    fc.property(anySpec, (spec) => {
      const served = stepSpec(spec, STEPS)
      const [asked, got] = [deviceBox(spec), deviceBox(served)]
      const isLargest = [got.width, got.height].some((side = 0) => side * 1.01 > LARGEST)
      for (const side of ['width', 'height'] as const) {
        assert.ok((got[side] ?? 0) <= 8192)
        if (!isLargest) assert.ok((got[side] ?? 0) >= (asked[side] ?? 0), formatSpec(served))
      }
    }),
    { numRuns: 5000 },
  )
})

test('A larger length has no smaller step', () => {
  fc.assert(
    fc.property(length, length, fc.constantFrom('w', 'h', 's'), (one, other, kind) => {
      const [small, large] = [Math.min(one, other), Math.max(one, other)]
      assert.ok(Number.parseInt(step(`${small}${kind}`), 10) <= Number.parseInt(step(`${large}${kind}`), 10))
    }),
  )
})

test('A crop of a usual or a listed shape keeps it within a pixel', () => {
  const shapes = [
    [1, 1],
    [5, 4],
    [4, 3],
    [3, 2],
    [16, 9],
    [2, 1],
    [3, 1],
    [9, 16],
    [2, 3],
    [1200, 630],
  ] as const
  fc.assert(
    fc.property(fc.constantFrom(...shapes), fc.integer({ min: 60, max: 1600 }), ([across, down], width) => {
      const height = Math.round((width * down) / across)
      const got = deviceBox(stepSpec(parseSpec(`${width}w${height}h,cover,top`), STEPS))
      assert.ok(Math.abs((got.height ?? 0) - ((got.width ?? 0) * down) / across) <= 1, `${width}w${height}h`)
    }),
  )
})

test('Any other crop up to 7:3 changes its shape by at most 9 %', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 400, max: 1600 }),
      fc.double({ min: 3 / 7, max: 7 / 3, noNaN: true }),
      (width, ratio) => {
        const height = Math.round(width * ratio)
        const got = deviceBox(stepSpec(parseSpec(`${width}w${height}h,contain`), PLAIN_WITH_CONTAIN))
        const change = ((got.height ?? 0) / (got.width ?? 1)) * (width / height)
        assert.ok(change < 1.09 && change > 1 / 1.09, `${width}w${height}h: ${change}`)
      },
    ),
    { numRuns: 2000 },
  )
})
const PLAIN_WITH_CONTAIN = createSizeSteps({ sides: SIDES, sizes: [parseSpec('400w300h,contain')], maxSide: 8192 })

test('All requests together are served no more specs than were counted', () => {
  const combinations = [...COMBINATIONS]
  const sides = [...SIDES, ...Array.from({ length: 120 }, (_, n) => 1 + n * 37)]
  const served = new Set(['full'])
  for (const width of sides) {
    for (const height of sides) {
      for (const write of combinations) served.add(formatSpec(stepSpec(parseSpec(write(width, height)), STEPS)))
    }
  }
  assert.ok(served.size <= countSpecs(STEPS), `${served.size} of ${countSpecs(STEPS)}`)
  // The bound is close: nearly all that is counted can be requested.
  assert.ok(served.size > countSpecs(STEPS) * 0.8, `${served.size} of ${countSpecs(STEPS)}`)
})

test('The bound follows the ladder, the limit and the combinations', () => {
  const two = createSizeSteps({ sides: [800, 400], sizes: [], maxSide: 8192 })
  const proportions = two.proportions.length
  // full; w, h and s; boxes; crops.
  assert.equal(countSpecs(two), 1 + 3 * 2 + 2 ** 2 + 2 * proportions)
  assert.equal(maxFilesPerPicture(two), countSpecs(two) * 10)
  assert.equal(
    countSpecs(createSizeSteps({ sides: [800, 400], sizes: [parseSpec('1w,q80')], maxSide: 8192 })),
    countSpecs(two) + 2,
  )
  assert.ok(countSpecs(createSizeSteps({ sides: [800, 400], sizes: [], maxSide: 700 })) < countSpecs(two))
})

const POLICY: SizePolicy = { kind: 'steps', steps: STEPS, answer: 'picture' }
const ID = '3f2a'.padEnd(40, '0')
const ask = (spec: string, policy: SizePolicy) =>
  admit(parseImagePath(`/image/${ID}/${spec}/x.webp`), new URLSearchParams(), policy, 0)

test('A size between two steps is answered with its step, or redirected to it by setting', () => {
  const asText = (spec?: Spec) => spec && formatSpec(spec)
  assert.deepEqual(ask('320w', POLICY), {})
  assert.equal(asText(ask('321w', POLICY).step), '480w')
  const { step: none, redirect } = ask('321w', { ...POLICY, answer: 'redirect' })
  assert.deepEqual([none, asText(redirect)], [undefined, '480w'])
  assert.deepEqual(ask('320w', { ...POLICY, answer: 'redirect' }), {})
})

test('URLs of other services get the same steps, without a redirect', () => {
  const redirecting: SizePolicy = { ...POLICY, answer: 'redirect' }
  for (const policy of [POLICY, redirecting]) {
    assert.equal(formatSpec(admitOtherwise(parseSpec('321w'), policy, false)), '480w')
    assert.throws(() => admitOtherwise(parseSpec('321w,gray'), policy, true), { code: 'size_not_allowed' })
  }
})

test('Sizes that are rendered in advance are steps, each once', () => {
  const specs = ['300w', '310w', '320w', '300w,gray', '100s'].map(parseSpec)
  assert.deepEqual(primedSpecs(specs, POLICY).map(formatSpec), ['320w', '160s'])
  assert.deepEqual(primedSpecs(specs, { kind: 'open' }), specs)
})

test('Steps above the limit are not used, and the smallest remains', () => {
  assert.deepEqual(createSizeSteps({ sides: SIDES, sizes: [], maxSide: 500 }).sides.at(-1), 480)
  assert.deepEqual(createSizeSteps({ sides: SIDES, sizes: [], maxSide: 20 }).sides, [SMALLEST])
  assert.equal(step('5000w', createSizeSteps({ sides: SIDES, sizes: [], maxSide: 500 })), '480w')
})
