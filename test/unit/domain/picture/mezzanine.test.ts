import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  likelyMezzanine,
  type MezzanineLevel,
  mezzanineFormat,
  mezzanineLevels,
  mezzanineSize,
  mezzaninesFor,
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
const MIN_PIXELS = 3_000_000

const LEVELS: readonly [string, Partial<OriginalFacts>, readonly MezzanineLevel[]][] = [
  ['A photograph of 12 MP', {}, [768, 1536]],
  ['One of 4 MP, of which the larger would hardly be smaller', { stored: { width: 2400, height: 1800 } }, [768]],
  ['One below the size where it pays', { stored: { width: 1600, height: 1200 } }, []],
  ['An animation', { format: 'gif', frames: 2 }, []],
  ['A drawing without a size of its own', { format: 'svg' }, []],
  ['One that lies on its side', { orientation: 6 }, [768, 1536]],
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
  ['160w', 'jpg', 768],
  ['640w', 'jpg', 768],
  ['641w', 'jpg', 1536],
  ['320w,2x', 'webp', 768],
  ['1280w', 'avif', 1536],
  ['1281w', 'avif', undefined],
  ['full', 'jpg', undefined],
  // As wide as 768 px, but of the whole picture it needs 1024.
  ['768s', 'jpg', 1536],
  ['600s', 'jpg', 1536],
  ['480s', 'jpg', 768],
  // Of these more would be seen.
  ['400w', 'png', 1536],
  ['384w', 'png', 768],
  ['640w,sharpen', 'jpg', 1536],
  ['640w,q90', 'jpg', 1536],
  ['640w,q89', 'jpg', 768],
  ['769w,q95', 'jpg', undefined],
  ['900w900h,fill', 'jpg', 1536],
  ['400w,rot90', 'jpg', 768],
  ['700w,rot90', 'jpg', 1536],
]
for (const [spec, format, level] of USES) {
  test(`${spec} as ${format} is made from ${level ?? 'the original'}`, () => {
    for (const orientation of [1, 3]) {
      const facts = { ...PHOTOGRAPH, orientation }
      const plan = planTransform(parseSpec(spec), facts, format, 8192)
      assert.equal(mezzaninesFor(plan, facts, [768, 1536])[0], level)
    }
  })
}

test('Whatever is larger than the smallest does as well', () => {
  const plan = planTransform(parseSpec('160w'), PHOTOGRAPH, 'jpg', 8192)
  assert.deepEqual(mezzaninesFor(plan, PHOTOGRAPH, [768, 1536]), [768, 1536])
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

test('Mezzanines of a JPEG take a quarter of its bytes at the most, those of what decodes slowly as much as itself', () => {
  const made = [100, 149].map((length) => ({ bytes: Buffer.alloc(length) }))
  const kept = (facts: Partial<OriginalFacts>, bytes: number) =>
    worthKeeping({ ...PHOTOGRAPH, ...facts }, bytes, made).map(({ bytes: { length } }) => length)
  assert.deepEqual(kept({}, 1000), [100, 149])
  assert.deepEqual(kept({}, 990), [100])
  assert.deepEqual(kept({}, 399), [])
  assert.deepEqual(kept({ format: 'avif' }, 249), [100, 149])
  assert.deepEqual(kept({ format: 'png' }, 99), [])
})

test('Before anything is known of an original the box says which level to ask for', () => {
  assert.deepEqual([160, 640, 641, 1280, 1281].map(likelyMezzanine), [768, 768, 1536, 1536, undefined])
})
