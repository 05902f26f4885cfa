import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UnavailableError } from '../../../../src/errors.ts'
import { createNginxFront } from '../../../../src/http/request/nginx-front.ts'
import { createAccessWatch, createDegradation } from '../../../../src/service/load/access-watch.ts'
import { createMemoryBucket } from '../../../support/memory-bucket.ts'
import { createMemoryStore } from '../../../support/memory-store.ts'

const never = new AbortController().signal
const PHOTOS = 'Bucket "photos" in BUCKETS_FILE: It refuses us'

/** A bucket and a store that work until told otherwise, and a clock. */
function createStage() {
  const clock = { ms: 1_000_000 }
  const troubles: string[] = []
  const state = { bucketWorks: true, storeWorks: true, mayWrite: true }
  const looks = { bucket: 0, store: 0 }
  const down = () => new UnavailableError('store_unavailable', 'It refuses us')
  const bucket = {
    ...createMemoryBucket(),
    async check() {
      looks.bucket += 1
      if (!state.bucketWorks) throw down()
    },
  }
  const uploadStore = {
    ...createMemoryStore(),
    async check() {
      looks.store += 1
      if (!state.storeWorks) throw down()
    },
    mayWrite: async () => state.mayWrite,
  }
  const degradation = createDegradation({ trouble: (message) => void troubles.push(message) }, () => clock.ms)
  const watch = createAccessWatch({
    buckets: new Map([['photos', { bucket }]]),
    uploadStore,
    degradation,
    now: () => clock.ms,
  })
  return { clock, troubles, state, looks, degradation, look: () => watch.look(never) }
}

test('What works is looked at every five minutes, what does not each time, until it works', async () => {
  const { clock, state, looks, degradation, look } = createStage()
  await look()
  clock.ms += 299_999
  await look()
  assert.deepEqual([looks, degradation.reasons], [{ bucket: 1, store: 1 }, []])
  state.bucketWorks = false
  clock.ms += 1
  await look()
  await look()
  assert.deepEqual([looks, degradation.reasons], [{ bucket: 3, store: 2 }, [PHOTOS]])
  state.bucketWorks = true
  await look()
  assert.deepEqual(degradation.reasons, [])
})

test('Trouble that lasts is logged once, and again when it has come back', async () => {
  const { clock, state, troubles, look } = createStage()
  state.bucketWorks = false
  await look()
  await look()
  assert.deepEqual(troubles, [PHOTOS])
  state.bucketWorks = true
  await look()
  state.bucketWorks = false
  clock.ms += 300_000
  await look()
  assert.deepEqual(troubles, [PHOTOS, PHOTOS])
})

test('A store that cannot be asked leaves what is known of our rights as it was', async () => {
  const { clock, state, troubles, degradation, look } = createStage()
  state.storeWorks = false
  state.mayWrite = false
  await look()
  assert.deepEqual(degradation.reasons, [])
  state.storeWorks = true
  clock.ms += 300_000
  await look()
  assert.equal(degradation.reasons.length, 1)
  state.storeWorks = false
  await look()
  assert.equal(degradation.reasons.length, 1)
  state.storeWorks = true
  state.mayWrite = true
  await look()
  assert.deepEqual([degradation.reasons, troubles.length], [[], 1])
})

function createReasons() {
  const clock = { ms: 1_000_000 }
  const troubles: string[] = []
  const degradation = createDegradation({ trouble: (message) => void troubles.push(message) }, () => clock.ms)
  return { clock, troubles, degradation }
}

test('A reason is logged once, lasts until its time or its end, and is logged anew only after an end', () => {
  const { clock, troubles, degradation } = createReasons()
  degradation.begin('a', { lastsMs: 100 })
  degradation.begin('b')
  clock.ms += 90
  degradation.begin('a', { lastsMs: 100 })
  clock.ms += 90
  assert.deepEqual(
    [degradation.reasons, troubles],
    [
      ['a', 'b'],
      ['a', 'b'],
    ],
  )
  clock.ms += 10
  assert.deepEqual(degradation.reasons, ['b'])
  degradation.begin('a', { lastsMs: 100 })
  degradation.end('b')
  assert.deepEqual([degradation.reasons, troubles], [['a'], ['a', 'b']])
  degradation.begin('b')
  assert.deepEqual(troubles, ['a', 'b', 'b'])
})

test('Only when nginx fails to send half of the files does it count as unable to read the cache', () => {
  const { clock, degradation } = createReasons()
  const front = createNginxFront({ accelPrefix: '/_r/', degradation, now: () => clock.ms, access: '' })
  for (const _ of Array.from({ length: 100 })) front.pointed()
  for (const _ of Array.from({ length: 49 })) front.failed()
  assert.deepEqual(degradation.reasons, [])
  clock.ms += 60_000
  front.failed()
  assert.deepEqual(degradation.reasons, [])
  front.failed()
  assert.equal(degradation.reasons.length, 1)
})
