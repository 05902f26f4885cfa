import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { createCallGate } from '../../../../src/adapters/calls/call-gate.ts'
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
