import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import {
  type CircuitBreaker,
  createCallGate,
  createCircuitBreaker,
  createRetryBudget,
  type RetryBudget,
} from '../../../../src/adapters/calls/call-gate.ts'
import { UnavailableError } from '../../../../src/errors.ts'

const never = new AbortController().signal
const SETTINGS = { maxCalls: 2, maxWaiting: 2, waitTimeoutMs: 60_000 } as const

test('calls beyond the limit wait, and come in by order of arrival', async () => {
  const gate = createCallGate(SETTINGS)
  const leaves = await Promise.all([gate.enter(never), gate.enter(never)])
  const order: string[] = []
  const waiting = ['third', 'fourth'].map(async (name) => {
    const leave = await gate.enter(never)
    order.push(name)
    leave()
  })
  assert.deepEqual(order, [])
  leaves[0]?.()
  await Promise.all(waiting)
  assert.deepEqual(order, ['third', 'fourth'])
})

test('a call that too many wait before fails at once', async () => {
  const gate = createCallGate({ ...SETTINGS, maxWaiting: 0 })
  await gate.enter(never)
  const leave = await gate.enter(never)
  await assert.rejects(gate.enter(never), { code: 'store_unavailable' })
  leave()
  await gate.enter(never)
})

test('a call does not wait longer than the limit, nor for a client who has gone', async () => {
  const gate = createCallGate({ ...SETTINGS, maxCalls: 1, waitTimeoutMs: 20 })
  const leave = await gate.enter(never)
  const client = new AbortController()
  const reason = new Error('the client has gone')
  const waiting = gate.enter(client.signal)
  client.abort(reason)
  await assert.rejects(waiting, (error) => error === reason)
  await assert.rejects(gate.enter(client.signal), (error) => error === reason)
  await assert.rejects(gate.enter(never), { code: 'store_unavailable' })
  leave()
  await gate.enter(never)
})

test('a place given back twice is one place', async () => {
  const gate = createCallGate({ ...SETTINGS, maxCalls: 1, maxWaiting: 0 })
  const leave = await gate.enter(never)
  leave()
  leave()
  await gate.enter(never)
  await assert.rejects(gate.enter(never), { code: 'store_unavailable' })
})

test('a gate refuses by the error that it was given', async () => {
  const refusal = (): UnavailableError => new UnavailableError('overloaded', 'Too many')
  const gate = createCallGate({ maxCalls: 1, maxWaiting: 1, waitTimeoutMs: 20, refusal })
  await gate.enter(never)
  const waiting = gate.enter(never)
  await assert.rejects(gate.enter(never), { code: 'overloaded' })
  await assert.rejects(waiting, { code: 'overloaded' })
})

test('a call waits as long as other calls end, and no longer than the longest wait', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  const clock = { ms: 0 }
  context.mock.method(performance, 'now', () => clock.ms)
  const tick = async (ms: number) => {
    clock.ms += ms
    context.mock.timers.tick(ms)
    await setImmediate()
  }
  const gate = createCallGate({ maxCalls: 1, maxWaiting: 100, waitTimeoutMs: 800, longestWaitMs: 5000 })
  let leave = await gate.enter(never)
  const outcomes: string[] = []
  const all = Array.from({ length: 20 }, async () => {
    try {
      leave = await gate.enter(never)
      outcomes.push('in')
    } catch {
      outcomes.push('refused')
    }
  })
  for (let call = 1; call <= 9; call += 1) {
    await tick(500)
    leave()
    await setImmediate()
    assert.equal(outcomes.length, call, `after ${clock.ms} ms`)
  }
  await tick(500)
  await Promise.all(all)
  assert.deepEqual(
    outcomes.slice(9),
    Array.from({ length: 11 }, () => 'refused'),
  )
})

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
