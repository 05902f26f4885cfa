import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLatencyWindow } from '../../../../src/adapters/calls/latency-window.ts'
import { createSuspension } from '../../../../src/adapters/calls/suspension.ts'

function stage() {
  const clock = { ms: 0 }
  return { clock, suspension: createSuspension({ now: () => clock.ms }) }
}

test('an endpoint that leaves a third of its reads without a response is suspended until a probe is answered', () => {
  const { suspension } = stage()
  for (let call = 0; call < 9; call += 1) suspension.called()
  suspension.silent('a')
  suspension.silent('b')
  assert.equal(suspension.isSuspended, false)
  suspension.silent('c')
  assert.deepEqual([suspension.isSuspended, suspension.key], [true, 'c'])
  suspension.resume()
  assert.equal(suspension.isSuspended, false)
  suspension.silent('d')
  assert.equal(suspension.isSuspended, false)
})

test('one silent read in a hundred does not suspend an endpoint, nor do some in the course of an hour', () => {
  const { suspension, clock } = stage()
  for (let call = 0; call < 1000; call += 1) {
    suspension.called()
    if (call % 100 === 99) suspension.silent('a')
  }
  assert.equal(suspension.isSuspended, false)
  for (let minute = 0; minute < 60; minute += 1) {
    clock.ms += 60_000
    suspension.called()
    suspension.silent('a')
  }
  assert.equal(suspension.isSuspended, false)
})

test('quantiles are those of the last 512 calls, and unknown before a hundred', () => {
  const window = createLatencyWindow()
  for (let call = 1; call < 100; call += 1) window.add(call)
  assert.equal(window.quantile(0.95), undefined)
  window.add(100)
  assert.equal(window.quantile(0.95), 96)
  assert.equal(window.quantile(1), 100)
  for (let call = 0; call < 512; call += 1) window.add(7)
  assert.equal(window.quantile(0.98), 7)
})
