import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type CircuitBreaker, createCircuitBreaker } from '../../../../src/adapters/calls/circuit-breaker.ts'

test('calls are let through until enough have failed in a row', () => {
  const { breaker } = breakerWithClock()
  for (let round = 0; round < 3; round += 1) {
    breaker.failed()
    breaker.failed()
    assert.equal(breaker.allows(), true)
    breaker.succeeded()
  }
  breaker.failed()
  breaker.failed()
  assert.equal(breaker.isOpen, false)
  breaker.failed()
  assert.equal(breaker.isOpen, true)
  assert.equal(breaker.allows(), false)
})

test('while refusing, one call in each interval is let through, whatever became of the last', () => {
  const { breaker, clock } = breakerWithClock()
  for (let index = 0; index < 3; index += 1) breaker.failed()
  for (let round = 0; round < 3; round += 1) {
    clock.now += 999
    assert.equal(breaker.allows(), false)
    clock.now += 1
    assert.equal(breaker.allows(), true)
    assert.equal(breaker.allows(), false)
  }
})

test('one success lets all calls through again', () => {
  const { breaker } = breakerWithClock()
  for (let index = 0; index < 10; index += 1) breaker.failed()
  breaker.succeeded()
  assert.equal(breaker.allows(), true)
  assert.equal(breaker.allows(), true)
})

function breakerWithClock(): { breaker: CircuitBreaker; clock: { now: number } } {
  const clock = { now: 5000 }
  return { clock, breaker: createCircuitBreaker({ failures: 3, probeEveryMs: 1000, now: () => clock.now }) }
}
