import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createNotFoundBudget } from '../../../../src/service/load/not-found-budget.ts'

const CLIENT = '192.0.2.1'
const OTHER = '2001:db8::/64'

function setUp(perMinute: number) {
  const clock = { ms: 1000 }
  const budget = createNotFoundBudget({ perMinute, now: () => clock.ms })
  return {
    clock,
    ...budget,
    /** How many requests of this client reach the store at once. */
    untilRefused(client: string, cost: number): number {
      let count = 0
      for (; budget.refusal(client) === undefined && count < 100_000; count += 1) budget.spend(client, cost)
      return count
    },
  }
}

test('A client has half a minute of its rate at once, and the rest in the course of a minute', () => {
  const { clock, untilRefused, refusal } = setUp(600)
  assert.equal(untilRefused(CLIENT, 4), 75)
  assert.equal(refusal(CLIENT)?.code, 'too_many_requests')
  assert.equal(refusal(CLIENT)?.retryAfterSeconds, 1)
  assert.match(refusal(CLIENT)?.message ?? '', /NOT_FOUND_PER_MINUTE=600/)
  assert.equal(refusal(OTHER), undefined)
  let later = 0
  for (let second = 1; second <= 60; second += 1) {
    clock.ms += 1000
    later += untilRefused(CLIENT, 1)
  }
  assert.equal(later, 300)
})

test('What was in progress when the budget was spent is made up for', () => {
  const { clock, spend, refusal } = setUp(600)
  for (let count = 0; count < 400; count += 1) spend(CLIENT, 1)
  assert.equal(refusal(CLIENT)?.retryAfterSeconds, 21)
  clock.ms += 19_000
  assert.ok(refusal(CLIENT))
  clock.ms += 2000
  assert.equal(refusal(CLIENT), undefined)
})

test('Many clients share the budget of the node, but never at the expense of one without missing images', () => {
  const { clock, spend, untilRefused, refusal } = setUp(600)
  let count = 0
  for (let client = 0; client < 1000; client += 1) count += untilRefused(`10.0.${client >> 8}.${client & 255}`, 4)
  // Each has one request: the node does not know it before.
  assert.ok(count <= (2 * 300) / 4 + 1000, `${count} requests`)
  assert.equal(refusal(CLIENT), undefined)
  spend(CLIENT, 1)
  assert.ok(refusal(CLIENT))
  // The common bucket is refilled like those of 20 clients.
  clock.ms += 1000
  const again = () => Array.from({ length: 100 }, (_, client) => untilRefused(`10.0.0.${client}`, 1))
  assert.ok(
    again().every((admitted) => admitted === 0),
    'what the first requests of all took is made up for',
  )
  clock.ms += 58_000
  const inAMinute = again().reduce((sum, each) => sum + each, 0)
  assert.equal(inAMinute, 600)
  clock.ms += 120_000
  assert.equal(refusal(CLIENT), undefined)
})

test('A rate of 0 is no limit', () => {
  const { untilRefused } = setUp(0)
  assert.equal(untilRefused(CLIENT, 4), 100_000)
})
