import assert from 'node:assert/strict'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { resourceId } from '../../../../src/domain/identity/image-id.ts'
import { createMemoryBucket } from '../../../support/memory-bucket.ts'
import { original } from '../../../support/memory-engine.ts'
import { createStage, idOf, never } from '../../../support/service-stage.ts'

const FRESHNESS = { freshSeconds: 60, staleWhileRevalidateSeconds: 30, staleIfErrorSeconds: 3600 }
const refOf = (key: string) => ({ kind: 'object', bucket: 'photos', key }) as const

function setStage(maxRemembered: number) {
  const bucket = createMemoryBucket()
  for (const key of ['a.jpg', 'b.jpg']) bucket.objects.set(key, original({ padding: key }))
  const buckets = new Map([['photos', { bucket, keyPrefix: '', freshness: FRESHNESS }]])
  return { ...createStage({ buckets, maxRemembered }), bucket }
}

test('An upload resolves to its id without a call of the store, and is never outdated', async () => {
  const { versions, asked, watch } = setStage(10)
  const id = idOf(original())
  const resolved = await versions.resolve({ kind: 'image', id }, never)
  assert.deepEqual([resolved.id, resolved.version, asked], [id, undefined, []])
  await watch.forget(new Set([id]))
  assert.equal(resolved.isOutdated(), false)
})

test('A resolved version is outdated as soon as this node is told of a change', async () => {
  const { versions, watch } = setStage(10)
  const resolved = await versions.resolve(refOf('a.jpg'), never)
  assert.equal(resolved.isOutdated(), false)
  await watch.forget(new Set([resourceId(refOf('b.jpg'))]))
  assert.equal(resolved.isOutdated(), false)
  await watch.forget(new Set([resourceId(refOf('a.jpg'))]))
  assert.equal(resolved.isOutdated(), true)
})

test('A version that was evicted from memory is gone, until its original is resolved again', async () => {
  const { versions } = setStage(1)
  const { id } = await versions.resolve(refOf('a.jpg'), never)
  assert.deepEqual(await buffer((await versions.locate(id).open(never)).body), original({ padding: 'a.jpg' }))
  await versions.resolve(refOf('b.jpg'), never)
  const evicted = versions.locate(id)
  await assert.rejects(evicted.open(never), { name: 'ChangedError', code: 'store_unavailable' })
  assert.deepEqual([await evicted.sizeBytes(never), evicted.held()], [undefined, undefined])
  assert.equal((await versions.resolve(refOf('a.jpg'), never)).id, id)
  assert.equal(await versions.locate(id).sizeBytes(never), original({ padding: 'a.jpg' }).length)
})

test('After an expiry the next request waits for the source, and work on a changed original runs again', async () => {
  const { versions, bucket, watch } = setStage(10)
  const ref = refOf('a.jpg')
  const { id } = await versions.resolve(ref, never)
  bucket.objects.set('a.jpg', original({ padding: 'new' }))
  assert.equal((await versions.resolve(ref, never)).id, id)
  versions.expire(ref)
  const next = await versions.resolve(ref, never)
  assert.notEqual(next.id, id)
  const ids: string[] = []
  const used = await versions.use(ref, never, async (each) => {
    ids.push(each)
    if (ids.length > 1) return each
    bucket.objects.set('a.jpg', original({ padding: 'newest' }))
    await watch.forget(new Set([resourceId(ref)]))
    return each
  })
  assert.deepEqual([ids.length, ids[0], used], [2, next.id, ids[1]])
  assert.notEqual(ids[1], ids[0])
})
