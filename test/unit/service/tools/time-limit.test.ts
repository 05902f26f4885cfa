import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { createFirstByteBudget, startTimeLimit } from '../../../../src/service/tools/time-limit.ts'

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

test('A limit that has ended leaves nothing on the signal that it followed, and one that was stopped still follows it', () => {
  const controller = new AbortController()
  const { signal } = controller
  startTimeLimit(signal, 60_000, () => new Error('Too late')).end()
  assert.equal(getEventListeners(signal, 'abort').length, 0)
  const stopped = startTimeLimit(signal, 60_000, () => new Error('Too late'))
  stopped.stop()
  controller.abort(new Error('Over'))
  assert.equal(stopped.signal.aborted, true)
  assert.equal(stopped.isOver, false)
})
