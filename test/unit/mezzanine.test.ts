import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OutputFormat } from '../../src/domain/image-format.ts'
import {
  likelyMezzanine,
  type MezzanineLevel,
  mezzanineFor,
  mezzanineFormat,
  mezzanineLevels,
  mezzanineSize,
  uprightFacts,
  worthKeeping,
} from '../../src/domain/mezzanine.ts'
import type { OriginalFacts } from '../../src/domain/original-facts.ts'
import { parseSpec } from '../../src/domain/spec.ts'
import { planTransform } from '../../src/domain/transform-plan.ts'

const PHOTOGRAPH: OriginalFacts = {
  format: 'jpeg',
  stored: { width: 4000, height: 3000 },
  orientation: 1,
  alpha: false,
  frames: 1,
}
const MIN_PIXELS = 3_000_000

const LEVELS: readonly [string, Partial<OriginalFacts>, readonly MezzanineLevel[]][] = [
  ['A photograph of 12 MP', {}, [768, 2048]],
  ['One of 8 MP, of which the larger would hardly be smaller', { stored: { width: 3264, height: 2448 } }, [768]],
  ['One below the size where it pays', { stored: { width: 1600, height: 1200 } }, []],
  ['An animation', { format: 'gif', frames: 2 }, []],
  ['A drawing without a size of its own', { format: 'svg' }, []],
  ['One that lies on its side', { orientation: 6 }, [768, 2048]],
]
for (const [what, facts, levels] of LEVELS) {
  test(`${what} has mezzanines of ${levels.join(' and ') || 'no size'}`, () => {
    assert.deepEqual(mezzanineLevels({ ...PHOTOGRAPH, ...facts }, MIN_PIXELS), levels)
    assert.deepEqual(mezzanineLevels({ ...PHOTOGRAPH, ...facts }, 0), [], 'switched off')
  })
}

test('A mezzanine is upright, its sides multiples of 16, of the original’s shape but for the rounding', () => {
  assert.deepEqual(mezzanineSize(PHOTOGRAPH, 2048), { width: 2048, height: 1536 })
  assert.deepEqual(mezzanineSize({ ...PHOTOGRAPH, orientation: 8 }, 768), { width: 576, height: 768 })
  assert.deepEqual(mezzanineSize({ ...PHOTOGRAPH, stored: { width: 6000, height: 4000 } }, 2048), {
    width: 2048,
    height: 1360,
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
  ['641w', 'jpg', 2048],
  ['320w,2x', 'webp', 768],
  ['1706w', 'avif', 2048],
  ['1707w', 'avif', undefined],
  ['full', 'jpg', undefined],
  // As wide as 768 px, but of the whole picture it needs 1024.
  ['768s', 'jpg', 2048],
  ['600s', 'jpg', 2048],
  ['480s', 'jpg', 768],
  // Of these more would be seen.
  ['400w', 'png', 2048],
  ['384w', 'png', 768],
  ['640w,sharpen', 'jpg', 2048],
  ['640w,q90', 'jpg', 2048],
  ['640w,q89', 'jpg', 768],
  ['1025w,q95', 'jpg', undefined],
  ['1000w1000h,fill', 'jpg', 2048],
  ['400w,rot90', 'jpg', 768],
  ['700w,rot90', 'jpg', 2048],
]
for (const [spec, format, level] of USES) {
  test(`${spec} as ${format} is made from ${level ?? 'the original'}`, () => {
    for (const orientation of [1, 3]) {
      const facts = { ...PHOTOGRAPH, orientation }
      const plan = planTransform(parseSpec(spec), facts, format, 8192)
      assert.equal(mezzanineFor(plan, facts, [768, 2048]), level)
    }
  })
}

test('Where a level was not worth its bytes the next takes its place', () => {
  const plan = planTransform(parseSpec('160w'), PHOTOGRAPH, 'jpg', 8192)
  assert.equal(mezzanineFor(plan, PHOTOGRAPH, [2048]), 2048)
  assert.equal(mezzanineFor(plan, PHOTOGRAPH, []), undefined)
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
  assert.deepEqual([160, 640, 641, 1706, 1707].map(likelyMezzanine), [768, 768, 2048, 2048, undefined])
})
