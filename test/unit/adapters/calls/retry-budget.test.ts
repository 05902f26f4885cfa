import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRetryBudget, type RetryBudget } from '../../../../src/adapters/calls/retry-budget.ts'

test('while every call fails, retries stay within their share of the calls', () => {
  const { budget } = budgetWithClock()
  let retries = 0
  for (let call = 0; call < 1000; call += 1) retries += callThatFails(budget)
  assert.ok(retries >= 100 && retries <= 100 + 5, `${retries} retries`)
})

test('a lone call may be tried again, a few times in a row', () => {
  const { budget } = budgetWithClock()
  assert.deepEqual(
    Array.from({ length: 6 }, () => budget.take()),
    [true, true, true, true, true, false],
  )
})

test('what was used up comes back with time, though nobody calls', () => {
  const { budget, clock } = budgetWithClock()
  while (budget.take()) clock.ms += 0
  clock.ms += 9_000
  assert.equal(budget.take(), false)
  clock.ms += 1_001
  assert.equal(budget.take(), true)
  assert.equal(budget.take(), false)
})

test('no more is saved up in good times than the most', () => {
  const { budget, clock } = budgetWithClock()
  for (let call = 0; call < 10_000; call += 1) budget.called()
  clock.ms += 3_600_000
  let retries = 0
  while (budget.take()) retries += 1
  assert.equal(retries, 5)
})

/** Tries again while it may. */
function callThatFails(budget: RetryBudget): number {
  budget.called()
  let retries = 0
  while (retries < 2 && budget.take()) retries += 1
  return retries
}

function budgetWithClock() {
  const clock = { ms: 1_000 }
  return { clock, budget: createRetryBudget({ perCall: 0.1, perSecond: 0.1, most: 5, now: () => clock.ms }) }
}
