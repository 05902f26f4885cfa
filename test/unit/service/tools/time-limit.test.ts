import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createFirstByteBudget } from '../../../../src/service/tools/time-limit.ts'

test('A silent store costs a viewer less than five seconds, and the wait behind a store that answers is not counted', () => {
  const clock = { ms: 100_000 }
  const budget = createFirstByteBudget(() => clock.ms)
  assert.equal(budget.withinMs(clock.ms), 4800)
  const asked = clock.ms
  clock.ms += 4000
  assert.equal(budget.withinMs(asked), 800)
  clock.ms += 4000
  assert.equal(budget.withinMs(asked), 500)
  budget.answered()
  clock.ms += 100
  assert.equal(budget.withinMs(asked), 4700)
  assert.equal(budget.withinMs(clock.ms), 4800)
})
