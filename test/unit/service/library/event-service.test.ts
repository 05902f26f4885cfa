import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resourceId } from '../../../../src/domain/identity/image-id.ts'
import { parseSpec } from '../../../../src/domain/spec/spec.ts'
import { INVALIDATIONS_PREFIX } from '../../../../src/domain/stored/store-layout.ts'
import { UnavailableError } from '../../../../src/errors.ts'
import { createMemoryBucket } from '../../../support/memory-bucket.ts'
import { original } from '../../../support/memory-engine.ts'
import { createStage, never } from '../../../support/service-stage.ts'

const FRESHNESS = { freshSeconds: 3600, staleWhileRevalidateSeconds: 0, staleIfErrorSeconds: 0 }
const KEY = 'public/a.jpg'
const CREATED = { bucket: 'theirs', key: KEY, kind: 'created' } as const

/** Two aliases of buckets of one name, and one of another. */
function setStage(primeSizes: readonly string[] = [], reportsChanges = false) {
  const bucket = createMemoryBucket()
  bucket.objects.set(KEY, original())
  const served = { bucket, keyPrefix: '', freshness: FRESHNESS }
  const told = { bucket: 'theirs', primeSizes: primeSizes.map(parseSpec) }
  const stage = createStage({
    buckets: new Map(['one', 'two', 'other'].map((alias) => [alias, served])),
    minPixels: 1,
    reportsChanges,
    told: [
      { ...told, alias: 'one', keyPrefix: '' },
      { ...told, alias: 'two', keyPrefix: 'private/' },
      { ...told, alias: 'other', bucket: 'others', keyPrefix: '' },
    ],
  })
  const ref = { kind: 'object', bucket: 'one', key: KEY } as const
  return { ...stage, bucket, ref, current: async () => (await stage.currentOf(ref, never)).id }
}

test('What a bucket tells makes every node look again, under the aliases that it has', async () => {
  const { events, bucket, ref, current, objects } = setStage()
  const id = await current()
  bucket.objects.set(KEY, original({ alpha: true }))
  assert.equal(await current(), id)
  await events.tell([CREATED], never)
  assert.notEqual(await current(), id)
  const told = [...objects.keys()].filter((key) => key.startsWith(INVALIDATIONS_PREFIX))
  assert.equal(told.length, 1)
  assert.ok(told[0]?.endsWith(resourceId(ref)))
})

test('For caches outside, changed objects are reported in events with their tags', async () => {
  for (const reports of [true, false]) {
    const { events, ref, objects } = setStage([], reports)
    await events.tell([CREATED], never)
    const batches = [...objects].filter(([key]) => key.startsWith('outbox/')).map(([, { bytes }]) => String(bytes))
    assert.equal(batches.length, reports ? 1 : 0)
    if (reports) assert.match(String(batches), new RegExp(`"image.purged".*${resourceId(ref)}`))
  }
})

test('What is removed is not to be had, and nothing is made ahead of it', async () => {
  const { events, bucket, current, primes } = setStage(['20w'])
  await current()
  bucket.objects.delete(KEY)
  await events.tell([{ ...CREATED, kind: 'removed' }], never)
  assert.deepEqual([events.pending, primes.pending], [0, 0])
  await assert.rejects(current(), { code: 'original_not_found' })
})

test('Of what is new the sizes are made ahead that its bucket is to have', async () => {
  const { events, primes, engine, ref, currentOf, disk } = setStage(['20w'])
  await events.tell([CREATED], never)
  const { id } = await currentOf(ref, never)
  while (events.pending + primes.pending > 0) await new Promise(setImmediate)
  assert.deepEqual(new Set(engine.rendered), new Set(['20x10 jpg', '20x10 webp', '20x10 avif']))
  assert.ok([...disk.files.keys()].some((path) => path.startsWith(`${id}/`)))
})

test('Overwritten before its sizes could be made, it is no trouble: the bucket tells of that, too', async () => {
  const { events, primes, engine, bucket, troubles } = setStage(['20w'])
  const isDone = async () => {
    while (events.pending + primes.pending > 0) await new Promise(setImmediate)
  }
  const { read, open } = bucket
  // The bytes that came with the version are lost, so they are read again.
  bucket.read = async (...args) => {
    const found = await read(...args)
    found?.object.body.destroy()
    return found
  }
  bucket.open = (...args) => {
    bucket.objects.set(KEY, original({ alpha: true }))
    return open(...args)
  }
  await events.tell([CREATED], never)
  await isDone()
  assert.deepEqual([engine.rendered, troubles], [[], []])
  await events.tell([CREATED], never)
  await isDone()
  assert.deepEqual(new Set(engine.rendered), new Set(['20x10 png', '20x10 webp', '20x10 avif']))
})

test('A store that does not take the news makes the bucket tell it again', async () => {
  const { events, store } = setStage()
  store.put = () => Promise.reject(new UnavailableError('store_unavailable', 'Down'))
  await assert.rejects(events.tell([CREATED], never), { code: 'store_unavailable' })
})
