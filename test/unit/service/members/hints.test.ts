import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createHints } from '../../../../src/service/members/hints.ts'

/** Hints whose sending ends when the test says so. */
function createStage(peers: readonly string[]) {
  const sent: { readonly address: string; readonly end: () => void; readonly fail: (reason: Error) => void }[] = []
  const hints = createHints({
    peers: () => peers,
    send: (address, signal) =>
      new Promise((resolve, reject) => {
        sent.push({ address, end: resolve, fail: reject })
        signal.addEventListener('abort', () => reject(new Error('aborted')))
      }),
  })
  return { hints, sent, addresses: () => sent.map(({ address }) => address) }
}

test('All peers are told at once, one hint at a time, and one more covers all that came meanwhile', async () => {
  const { hints, sent, addresses } = createStage(['a:80', 'b:80'])
  hints.announce()
  await nextTurn()
  assert.deepEqual(addresses(), ['a:80', 'b:80'])
  for (let count = 0; count < 10; count += 1) hints.announce()
  await nextTurn()
  assert.equal(sent.length, 2)
  sent[0]?.end()
  while (sent.length < 3) await nextTurn()
  assert.deepEqual(addresses(), ['a:80', 'b:80', 'a:80'])
  sent[2]?.end()
  await nextTurn()
  assert.equal(hints.counters.sent, 2)
  await hints.stop()
  assert.equal(sent.length, 3)
})

test('A hint that fails is counted and not repeated', async () => {
  const { hints, sent } = createStage(['a:80'])
  hints.announce()
  await nextTurn()
  sent[0]?.fail(new Error('unreachable'))
  await nextTurn()
  assert.deepEqual([hints.counters.sent, hints.counters.failed, sent.length], [0, 1, 1])
  hints.announce()
  await nextTurn()
  assert.equal(sent.length, 2)
  await hints.stop()
})

test('Stopping ends the hints that are under way', async () => {
  const { hints, sent } = createStage(['a:80'])
  hints.announce()
  hints.announce()
  await hints.stop()
  assert.ok(sent.length <= 1)
})
