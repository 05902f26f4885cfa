import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planTransform } from '../../../../src/domain/picture/transform-plan.ts'
import { decodingCost, expectedCost, planCost } from '../../../../src/domain/picture/work-cost.ts'
import { INPUT_FORMATS, OUTPUT_FORMATS } from '../../../../src/domain/spec/image-format.ts'
import { parseSpec } from '../../../../src/domain/spec/spec.ts'
import { FACTS } from '../../../support/memory-engine.ts'

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
