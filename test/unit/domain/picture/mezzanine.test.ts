import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  isTooLargeToKeep,
  likelyMezzanines,
  type MezzanineLevel,
  mezzanineFormat,
  mezzanineLevels,
  mezzanineSize,
  mezzaninesFor,
  reducingCost,
  uprightFacts,
  worthKeeping,
} from '../../../../src/domain/picture/mezzanine.ts'
import type { OriginalFacts } from '../../../../src/domain/picture/original-facts.ts'
import { planTransform } from '../../../../src/domain/picture/transform-plan.ts'
import type { OutputFormat } from '../../../../src/domain/spec/image-format.ts'
import { parseSpec } from '../../../../src/domain/spec/spec.ts'

const PHOTOGRAPH: OriginalFacts = {
  format: 'jpeg',
  stored: { width: 4000, height: 3000 },
  orientation: 1,
  alpha: false,
  frames: 1,
}
const MIN_PIXELS = 250_000

const LEVELS: readonly [string, Partial<OriginalFacts>, readonly MezzanineLevel[]][] = [
  ['A photograph of 12 MP', {}, [480, 768, 1536]],
  ['One of 4 MP, of which the largest would hardly be smaller', { stored: { width: 2400, height: 1800 } }, [480, 768]],
  ['One of 2 MP', { stored: { width: 1600, height: 1200 } }, [480, 768]],
  ['One of 1 MP', { stored: { width: 1152, height: 864 } }, [480]],
  ['One of 0.3 MP', { stored: { width: 640, height: 480 } }, [480]],
  ['One in portrait format, 500 px wide', { stored: { width: 500, height: 1000 } }, []],
  ['One below the size where it pays', { stored: { width: 640, height: 320 } }, []],
  ['An animation', { format: 'gif', frames: 2 }, []],
  ['A drawing without a size of its own', { format: 'svg' }, []],
  ['One that lies on its side', { orientation: 6 }, [480, 768, 1536]],
]
for (const [what, facts, levels] of LEVELS) {
  test(`${what} has mezzanines of ${levels.join(' and ') || 'no size'}`, () => {
    assert.deepEqual(mezzanineLevels({ ...PHOTOGRAPH, ...facts }, MIN_PIXELS), levels)
    assert.deepEqual(mezzanineLevels({ ...PHOTOGRAPH, ...facts }, 0), [], 'switched off')
  })
}

test('A mezzanine is upright, its sides multiples of 16, of the original’s shape but for the rounding', () => {
  assert.deepEqual(mezzanineSize(PHOTOGRAPH, 1536), { width: 1536, height: 1152 })
  assert.deepEqual(mezzanineSize({ ...PHOTOGRAPH, orientation: 8 }, 768), { width: 576, height: 768 })
  assert.deepEqual(mezzanineSize(PHOTOGRAPH, 480), { width: 480, height: 368 })
  assert.deepEqual(mezzanineSize({ ...PHOTOGRAPH, orientation: 8 }, 480), { width: 480, height: 640 })
  assert.deepEqual(mezzanineSize({ ...PHOTOGRAPH, stored: { width: 1000, height: 8000 } }, 480), {
    width: 128,
    height: 960,
  })
  assert.deepEqual(mezzanineSize({ ...PHOTOGRAPH, stored: { width: 6000, height: 4000 } }, 1536), {
    width: 1536,
    height: 1024,
  })
  assert.deepEqual(mezzanineSize({ ...PHOTOGRAPH, stored: { width: 20_000, height: 20 } }, 768), {
    width: 768,
    height: 16,
  })
  assert.deepEqual(['jpeg', 'png'], [mezzanineFormat(PHOTOGRAPH), mezzanineFormat({ ...PHOTOGRAPH, alpha: true })])
})

const USES: readonly [string, OutputFormat, MezzanineLevel | undefined][] = [
  ['160w', 'jpg', 480],
  ['400w', 'jpg', 480],
  ['401w', 'jpg', 768],
  ['640w', 'jpg', 768],
  ['641w', 'jpg', 1536],
  ['320w,2x', 'webp', 768],
  ['200w,2x', 'webp', 480],
  ['1280w', 'avif', 1536],
  ['1281w', 'avif', undefined],
  ['full', 'jpg', undefined],
  // As wide as 768 px, but of the whole picture it needs 1024.
  ['768s', 'jpg', 1536],
  ['600s', 'jpg', 1536],
  ['300s', 'jpg', 480],
  ['301s', 'jpg', 768],
  ['480s', 'jpg', 768],
  // Of these more would be seen.
  ['400w', 'png', 1536],
  ['384w', 'png', 768],
  ['240w', 'png', 480],
  ['640w,sharpen', 'jpg', 1536],
  ['640w,q90', 'jpg', 1536],
  ['640w,q89', 'jpg', 768],
  ['769w,q95', 'jpg', undefined],
  ['900w900h,fill', 'jpg', 1536],
  ['300w,rot90', 'jpg', 480],
  ['301w,rot90', 'jpg', 768],
  ['400w,rot90', 'jpg', 768],
  ['700w,rot90', 'jpg', 1536],
]
for (const [spec, format, level] of USES) {
  test(`${spec} as ${format} is made from ${level ?? 'the original'}`, () => {
    for (const orientation of [1, 3]) {
      const facts = { ...PHOTOGRAPH, orientation }
      const plan = planTransform(parseSpec(spec), facts, format, 8192)
      assert.equal(mezzaninesFor(plan, facts, [480, 768, 1536])[0], level)
    }
  })
}

test('Whatever is larger than the smallest does as well', () => {
  const plan = planTransform(parseSpec('160w'), PHOTOGRAPH, 'jpg', 8192)
  assert.deepEqual(mezzaninesFor(plan, PHOTOGRAPH, [480, 768, 1536]), [480, 768, 1536])
  assert.deepEqual(mezzaninesFor(plan, PHOTOGRAPH, []), [])
})

test('The plan for an upright mezzanine gives the size that the plan for the original gives', () => {
  for (const orientation of [1, 2, 5, 6, 7, 8]) {
    const facts = { ...PHOTOGRAPH, orientation }
    for (const text of ['400w', '300s,smart', '200w300h,cover,top,rot90', '300w300h,contain,flop']) {
      const spec = parseSpec(text)
      const { orientation: _turn, ...ofOriginal } = planTransform(spec, facts, 'jpg', 8192)
      const { orientation: _rest, ...ofMezzanine } = planTransform(spec, uprightFacts(facts), 'jpg', 8192)
      assert.deepEqual(ofMezzanine, ofOriginal, `${text} of orientation ${orientation}`)
    }
  }
})

test('Larger mezzanines of a JPEG take a quarter of its bytes at the most, those of what decodes slowly as much as itself', () => {
  const made = ([768, 1536] as const).map((level, index) => ({ level, bytes: Buffer.alloc([100, 149][index] ?? 0) }))
  const kept = (facts: Partial<OriginalFacts>, bytes: number) =>
    worthKeeping({ ...PHOTOGRAPH, ...facts }, bytes, made).map(({ bytes: { length } }) => length)
  assert.deepEqual(kept({}, 1000), [100, 149])
  assert.deepEqual(kept({}, 990), [100])
  assert.deepEqual(kept({}, 399), [])
  assert.deepEqual(kept({ format: 'avif' }, 249), [100, 149])
  assert.deepEqual(kept({ format: 'png' }, 99), [])
})

test('The smallest mezzanine is kept if it is smaller than the original, and counts with the larger ones', () => {
  const made = ([480, 768] as const).map((level, index) => ({ level, bytes: Buffer.alloc([50, 100][index] ?? 0) }))
  const kept = (bytes: number) => worthKeeping(PHOTOGRAPH, bytes, made).map(({ level }) => level)
  assert.deepEqual([600, 599, 51, 50].map(kept), [[480, 768], [480], [480], []])
})

test('A level is left out only if it would surely be too large to keep', () => {
  const sized = (level: MezzanineLevel, bytes: number) => ({ level, bytes: Buffer.alloc(bytes) })
  const isLeftOut = (originalBytes: number, facts: Partial<OriginalFacts> = {}) =>
    isTooLargeToKeep({ ...PHOTOGRAPH, ...facts }, originalBytes, { level: 768, smaller: [sized(480, 1000)] })
  // 480 and 768 px: 2.5 times the pixels, so at least 1.7 times the bytes.
  assert.deepEqual(
    [9000, 10_000, 11_000, 12_000].map((bytes) => isLeftOut(bytes)),
    [true, true, false, false],
  )
  assert.equal(isLeftOut(9000, { format: 'webp' }), false)
  assert.equal(isTooLargeToKeep(PHOTOGRAPH, 1, { level: 480, smaller: [] }), false, 'unknown without a smaller one')
  const smaller = [sized(480, 1000), sized(768, 2000)]
  assert.equal(isTooLargeToKeep(PHOTOGRAPH, 20_000, { level: 1536, smaller }), true, 'all of them count')
  assert.equal(isTooLargeToKeep(PHOTOGRAPH, 40_000, { level: 1536, smaller }), false)
})

test('The plan of a mezzanine costs what encoding it costs', () => {
  assert.equal(reducingCost(PHOTOGRAPH, []), 0)
  assert.ok(reducingCost(PHOTOGRAPH, [480]) < reducingCost(PHOTOGRAPH, [480, 768]))
  assert.ok(reducingCost(PHOTOGRAPH, [480]) < reducingCost({ ...PHOTOGRAPH, alpha: true }, [480]))
})

const LIKELY: Readonly<Record<string, readonly MezzanineLevel[]>> = {
  '160w': [480, 768],
  '400w': [480, 768],
  '401w': [768],
  '641w': [1536],
  '1281w': [],
  '300h': [480, 768],
  '301h': [768],
  '300s': [480, 768],
  '301s': [768],
  '400w300h': [480, 768],
  '400w400h': [480, 768],
  '400w400h,cover': [768],
  '200w,2x': [480, 768],
  full: [],
}
for (const [spec, levels] of Object.entries(LIKELY)) {
  test(`Before anything is known of an original, ${spec} asks for ${levels.join(', then ') || 'no mezzanine'}`, () => {
    assert.deepEqual(likelyMezzanines(parseSpec(spec)), levels)
  })
}
