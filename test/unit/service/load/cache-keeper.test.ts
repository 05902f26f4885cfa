import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { createCacheKeeper, type SweepResult } from '../../../../src/service/load/cache-keeper.ts'

/** A keeper over a sweep that ends when told to, and a clock. */
function createStage(t: TestContext) {
  const clock = { ms: 1_000_000 }
  const sweeps: PromiseWithResolvers<SweepResult | undefined>[] = []
  const troubles: string[] = []
  let stopped = false
  const keeper = createCacheKeeper({
    sweep: {
      sweep() {
        const sweep = Promise.withResolvers<SweepResult | undefined>()
        sweeps.push(sweep)
        return sweep.promise
      },
      async stop() {
        stopped = true
        for (const sweep of sweeps) sweep.resolve({ bytesAfter: 0, removedFiles: 0, removedBytes: 0 })
      },
    },
    meter: { rendered() {}, fetched() {}, waited() {}, trouble: (message) => void troubles.push(message) },
    now: () => clock.ms,
    everyMs: 3_600_000,
    maxBytes: 100,
  })
  t.after(() => keeper.stop())
  return {
    keeper,
    clock,
    sweeps,
    troubles,
    isStopped: () => stopped,
    /** @param bytesAfter Absent: somebody else is sweeping. */
    async end(bytesAfter?: number, removed = { removedFiles: 0, removedBytes: 0 }) {
      sweeps.at(-1)?.resolve(bytesAfter === undefined ? undefined : { bytesAfter, ...removed })
      await setImmediate()
    },
  }
}

test('A sweep begins with the start, and tells what the cache uses', async (t) => {
  const { keeper, sweeps, end } = createStage(t)
  keeper.wrote(5)
  assert.equal(sweeps.length, 0)
  keeper.start()
  assert.equal(sweeps.length, 1)
  await end(40)
  keeper.wrote(7)
  assert.equal(keeper.usedBytes, 47)
})

test('Somebody else’s sweep is no trouble, and says nothing of what the cache uses', async (t) => {
  const { keeper, troubles, end } = createStage(t)
  keeper.start()
  keeper.wrote(5)
  await end()
  assert.deepEqual([keeper.usedBytes, troubles], [5, []])
})

test('A budget that is used up is a reason to sweep, one at a time and with a pause between', async (t) => {
  const { keeper, clock, sweeps, end } = createStage(t)
  keeper.start()
  clock.ms += 60_000
  keeper.wrote(101)
  assert.equal(sweeps.length, 1, 'one is under way')
  await end(99)
  keeper.wrote(1)
  assert.equal(sweeps.length, 1, 'within the budget')
  keeper.wrote(1)
  assert.equal(sweeps.length, 2)
  await end(99)
  keeper.wrote(2)
  assert.equal(sweeps.length, 2, 'too soon')
  clock.ms += 5000
  keeper.wrote(1)
  assert.equal(sweeps.length, 3)
})

test('A disk that refuses is swept at once, told of once a minute, and degraded for a while', async (t) => {
  const { keeper, clock, sweeps, troubles, end } = createStage(t)
  keeper.start()
  await end(0)
  assert.equal(keeper.degraded, false)
  clock.ms += 10_000
  for (let times = 0; times < 50; times += 1) keeper.refused(new Error('full'))
  assert.deepEqual([sweeps.length, troubles.length, keeper.degraded], [2, 1, true])
  clock.ms += 59_999
  keeper.refused(new Error('full'))
  assert.equal(troubles.length, 1)
  clock.ms += 1
  keeper.refused(new Error('full'))
  assert.equal(troubles.length, 2)
  clock.ms += 60_000
  assert.equal(keeper.degraded, false)
})

test('A sweep that fails is told of, and another one follows', async (t) => {
  const { keeper, clock, sweeps, troubles, end } = createStage(t)
  keeper.start()
  sweeps[0]?.reject(new Error('failed'))
  await setImmediate()
  assert.deepEqual(troubles, ['The cache sweep failed'])
  clock.ms += 5000
  keeper.wrote(101)
  assert.equal(sweeps.length, 2)
  await end(0)
})

test('Stopping ends the sweep under way, and no other begins', async (t) => {
  const { keeper, clock, sweeps, isStopped } = createStage(t)
  keeper.start()
  await keeper.stop()
  assert.equal(isStopped(), true)
  clock.ms += 3_600_000
  keeper.wrote(1000)
  keeper.refused(new Error('full'))
  assert.equal(sweeps.length, 1)
})

test('What sweeps delete adds up, and a sweep of another process renews the age', async (t) => {
  const { keeper, clock, sweeps, end } = createStage(t)
  clock.ms += 3000
  assert.equal(keeper.sweepAgeSeconds, 3)
  keeper.start()
  await end(0, { removedFiles: 2, removedBytes: 300 })
  assert.deepEqual([keeper.evicted, keeper.sweepAgeSeconds], [{ files: 2, bytes: 300 }, 0])
  clock.ms += 60_000
  keeper.wrote(101)
  await end(0, { removedFiles: 1, removedBytes: 50 })
  clock.ms += 60_000
  keeper.wrote(101)
  await end()
  assert.deepEqual([keeper.evicted, keeper.sweepAgeSeconds], [{ files: 3, bytes: 350 }, 0])
  clock.ms += 60_000
  keeper.wrote(101)
  sweeps.at(-1)?.reject(new Error('failed'))
  await setImmediate()
  assert.equal(keeper.sweepAgeSeconds, 60)
})
