import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LEASE_PREFIX } from '../../../../src/domain/stored/relay-state.ts'
import { createRelayLease } from '../../../../src/service/library/relay-lease.ts'
import { createMemoryStore } from '../../../support/memory-store.ts'
import { never } from '../../../support/service-stage.ts'

/** Nodes on one store, whose clocks have nothing in common but their pace. */
function setUp(count: number) {
  const store = createMemoryStore()
  const clock = { ms: 0 }
  const nodes = Array.from({ length: count }, (_, at) => {
    const lease = createRelayLease({ store, node: `000000${at}a`, now: () => clock.ms + at * 1e9 })
    return { lease, isRunning: true }
  })
  const holders = () => nodes.flatMap(({ lease, isRunning }, at) => (isRunning && lease.isHeld ? [at] : []))
  return {
    store,
    nodes,
    clock,
    holders,
    /** Each running node looks once a second; at no time two of them hold the lease. */
    async run(seconds: number) {
      for (let second = 0; second < seconds; second += 1) {
        for (const { lease, isRunning } of nodes) {
          if (isRunning) await lease.look(never)
          assert.ok(nodes.filter((node) => node.lease.isHeld).length <= 1)
          clock.ms += 1000 / count
        }
      }
    },
  }
}

test('One of several nodes has the lease, and keeps it', async () => {
  const stage = setUp(3)
  await stage.run(1)
  assert.deepEqual(stage.holders(), [0])
  await stage.run(60)
  assert.deepEqual(stage.holders(), [0])
  assert.ok([...stage.store.objects.keys()].filter((key) => key.startsWith(LEASE_PREFIX)).length <= 4)
})

test('Ten seconds after the holder ended another node has the lease', async () => {
  const stage = setUp(3)
  for (let at = 0; at < 2; at += 1) {
    await stage.run(20)
    const [holder = 0] = stage.holders()
    const ended = stage.nodes[holder]
    if (ended) ended.isRunning = false
    await stage.run(10)
    assert.equal(stage.holders().length, 1)
    assert.notEqual(stage.holders()[0], holder)
  }
})

test('A holder that was frozen no longer holds the lease when it continues, before it looks', async () => {
  const stage = setUp(2)
  await stage.run(20)
  const [frozen] = stage.nodes
  if (frozen) frozen.isRunning = false
  await stage.run(10)
  assert.equal(frozen?.lease.isHeld, false)
  await frozen?.lease.look(never)
  assert.equal(frozen?.lease.isHeld, false)
  if (frozen) frozen.isRunning = true
  await stage.run(20)
  assert.deepEqual(stage.holders(), [1])
})

test('Of two nodes that take a lease at once, one has it', async () => {
  const { nodes } = setUp(2)
  await Promise.all(nodes.map(({ lease }) => lease.look(never)))
  assert.equal(nodes.filter(({ lease }) => lease.isHeld).length, 1)
})
