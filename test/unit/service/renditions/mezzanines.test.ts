import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MEZZANINE_LEVELS } from '../../../../src/domain/picture/mezzanine.ts'
import { parseSpec } from '../../../../src/domain/spec/spec.ts'
import { mezzanineKey, mezzanineKeys, originalKey } from '../../../../src/domain/stored/store-layout.ts'
import { UnavailableError } from '../../../../src/errors.ts'
import { createMemoryBucket } from '../../../support/memory-bucket.ts'
import { original } from '../../../support/memory-engine.ts'
import { createStage, idOf, never } from '../../../support/service-stage.ts'

// Long enough for its mezzanines, and for them to be smaller than the original is.
const LARGE = original({ stored: { width: 4000, height: 2000 }, orientation: 6, padding: 'x'.repeat(600) })
const ID = idOf(LARGE)
const SMALL = original()
const wanted = (id: string, spec: string) => ({ id, spec: parseSpec(spec), as: 'jpg' as const })
const stageOf = (options: Parameters<typeof createStage>[0] = {}) => createStage({ minPixels: 1_000_000, ...options })

test('A large original gets its mezzanines after the upload, in the store and on the disk', async () => {
  const stage = stageOf()
  await stage.upload(LARGE)
  await stage.mezzanines.make(ID)
  assert.deepEqual(stage.engine.reduced, [480, 768, 1536])
  for (const level of MEZZANINE_LEVELS) {
    const shared = stage.objects.get(mezzanineKey(ID, level))
    assert.equal(shared?.contentType, 'image/jpeg')
    assert.deepEqual(stage.disk.files.get(`mezzanines/${ID}/${level}`), shared?.bytes)
  }
  await stage.upload(SMALL)
  await stage.mezzanines.make(idOf(SMALL))
  assert.deepEqual(stage.engine.reduced, [480, 768, 1536], 'a small one has none')
})

test('A level that the engine has left out is not tried again', async () => {
  const stage = stageOf()
  const { reduce } = stage.engine
  stage.engine.reduce = (source, facts, levels) => reduce(source, facts, levels.slice(0, 2))
  await stage.upload(LARGE)
  await stage.mezzanines.make(ID)
  assert.deepEqual(stage.engine.reduced, [480, 768])
  await stage.mezzanines.make(ID)
  assert.deepEqual(stage.engine.reduced, [480, 768])
  assert.equal(stage.objects.has(mezzanineKey(ID, 1536)), false)
})

test('A node that has never seen the image fetches the mezzanine alone, and makes every size of it that it serves', async () => {
  const first = stageOf()
  await first.upload(LARGE)
  await first.mezzanines.make(ID)
  const node = stageOf({ store: first.memory })
  await node.renditions.rendition(wanted(ID, '300w'), never)
  await node.renditions.rendition(wanted(ID, '200w'), never)
  assert.deepEqual(node.asked, [`open ${mezzanineKey(ID, 480)}`])
  assert.deepEqual(node.engine.rendered, ['300x600 jpg', '200x400 jpg'])
  await node.renditions.rendition(wanted(ID, '600w'), never)
  assert.deepEqual(node.asked.slice(1), [`open ${mezzanineKey(ID, 1536)}`])
  await node.renditions.rendition(wanted(ID, '1900w'), never)
  assert.deepEqual(node.asked.slice(2), [`open ${originalKey(ID)}`], 'what it cannot serve')
  assert.deepEqual(node.engine.reduced, [], 'and it makes no other')
})

test('The mezzanine and its original are asked for at once', async () => {
  const first = stageOf()
  await first.upload(LARGE)
  await first.mezzanines.make(ID)
  const node = stageOf({ store: first.memory })
  const { open, stat } = node.store
  const looked = Promise.withResolvers<void>()
  node.store.stat = (...call) => {
    looked.resolve()
    return stat(...call)
  }
  node.store.open = async (...call) => {
    await looked.promise
    return await open(...call)
  }
  await node.renditions.rendition(wanted(ID, '300w'), never)
  assert.deepEqual(node.engine.rendered, ['300x600 jpg'])
})

test('What one decoding does not verify gets its mezzanines and its info after the upload', async () => {
  const stage = stageOf()
  const tiff = original({ stored: { width: 4000, height: 2000 }, format: 'tiff', padding: 'x'.repeat(600) })
  await stage.upload(tiff)
  await stage.mezzanines.make(idOf(tiff))
  assert.deepEqual(stage.engine.reduced, [480, 768, 1536])
  await stage.infos.make(idOf(tiff))
  assert.deepEqual([stage.engine.verified, stage.engine.measured], [1, 1])
})

test('A size of which a mezzanine is likely costs two more looks at the store where there is none', async () => {
  const stage = stageOf()
  const id = await stage.plant(SMALL)
  await stage.renditions.rendition(wanted(id, '400w'), never)
  await stage.renditions.rendition(wanted(id, '300w'), never)
  const looks = ([480, 768] as const).map((level) => `open ${mezzanineKey(id, level)}`)
  assert.deepEqual(stage.asked, [...looks, `open ${originalKey(id)}`])
})

test('An image whose mezzanines an earlier version made is rendered from the smallest of them', async () => {
  const first = stageOf()
  await first.upload(LARGE)
  await first.mezzanines.make(ID)
  first.objects.delete(mezzanineKey(ID, 480))
  const node = stageOf({ store: first.memory })
  await node.renditions.rendition(wanted(ID, '300w'), never)
  assert.deepEqual(node.asked, [`open ${mezzanineKey(ID, 480)}`, `open ${mezzanineKey(ID, 768)}`])
  await node.renditions.rendition(wanted(ID, '200w'), never)
  assert.equal(node.asked.length, 2)
})

test('The first decoding of an original that has none makes them, for all nodes', async () => {
  const stage = stageOf()
  await stage.plant(LARGE)
  await stage.renditions.rendition(wanted(ID, '300w'), never)
  await stage.mezzanines.make(ID)
  assert.deepEqual(stage.engine.reduced, [480, 768, 1536])
  assert.ok(mezzanineKeys(ID).every((key) => stage.objects.has(key)))
})

/** A node with a large object in a bucket. @returns renders sizes of it, and waits for their mezzanines. */
async function stageOfObject(options: Parameters<typeof createStage>[0] = {}) {
  const bucket = createMemoryBucket()
  bucket.objects.set('large.jpg', LARGE)
  const freshness = { freshSeconds: 60, staleWhileRevalidateSeconds: 30, staleIfErrorSeconds: 3600 }
  const stage = stageOf({ ...options, buckets: new Map([['photos', { bucket, keyPrefix: '', freshness }]]) })
  const { id } = await stage.currentOf({ kind: 'object', bucket: 'photos', key: 'large.jpg' }, never)
  const view = async (spec: string, as: 'jpg' | 'webp' = 'jpg') => {
    await stage.renditions.rendition({ ...wanted(id, spec), as }, never)
    if (stage.mezzanines.pending > 0) await stage.mezzanines.make(id)
  }
  return { ...stage, id, view }
}

test('An object gets its mezzanines with the second size that they would have served, and shares them with no node', async () => {
  const { view, engine, disk, objects, id } = await stageOfObject()
  await view('300w')
  await view('300w', 'webp')
  await view('1900w')
  await view('full')
  assert.deepEqual(engine.reduced, [])
  await view('200w')
  assert.deepEqual(engine.reduced, [480, 768, 1536])
  assert.ok(disk.files.has(`mezzanines/${id}/768`))
  assert.deepEqual([...objects.keys()], [])
  await view('250w')
  assert.equal(engine.rendered.at(-1), '250x500 jpg')
  assert.deepEqual(engine.reduced, [480, 768, 1536])
})

test('With MEZZANINES_AT=first an object gets its mezzanines with the first size', async () => {
  const { view, engine } = await stageOfObject({ mezzaninesAt: 'first' })
  await view('300w')
  assert.deepEqual(engine.reduced, [480, 768, 1536])
})

test('A first size that was evicted from memory counts again', async () => {
  const { view, engine, views, id } = await stageOfObject()
  await view('300w')
  views.forget(new Set([id]))
  await view('200w')
  assert.deepEqual(engine.reduced, [])
  await view('100w')
  assert.deepEqual(engine.reduced, [480, 768, 1536])
})

test('Nobody waits for the store for an original that is on the disk', async () => {
  const stage = stageOf()
  await stage.upload(LARGE)
  await stage.mezzanines.make(ID)
  const disk = new Map([...stage.disk.files].filter(([path]) => !path.startsWith('mezzanines/')))
  const node = stageOf({ store: stage.memory, disk: { files: disk, full: false } })
  node.store.open = () => Promise.reject(new UnavailableError('store_unavailable', 'Down'))
  const { sizeBytes } = await node.renditions.rendition(wanted(ID, '300w'), never)
  assert.ok(sizeBytes > 0)
})

test('While the store does not answer, a larger mezzanine that is on the disk does', async () => {
  const first = stageOf()
  await first.upload(LARGE)
  await first.mezzanines.make(ID)
  const node = stageOf({ store: first.memory })
  await node.renditions.rendition(wanted(ID, '600w'), never)
  node.store.open = () => Promise.reject(new UnavailableError('store_unavailable', 'Down'))
  await node.renditions.rendition(wanted(ID, '300w'), never)
  assert.deepEqual(node.engine.rendered, ['600x1200 jpg', '300x600 jpg'])
})

test('A mezzanine that a sweep has taken is fetched again', async () => {
  const first = stageOf()
  await first.upload(LARGE)
  await first.mezzanines.make(ID)
  const node = stageOf({ store: first.memory })
  await node.renditions.rendition(wanted(ID, '300w'), never)
  node.disk.files.delete(`mezzanines/${ID}/480`)
  await node.renditions.rendition(wanted(ID, '200w'), never)
  assert.deepEqual(node.asked, [`open ${mezzanineKey(ID, 480)}`, `open ${mezzanineKey(ID, 480)}`])
  assert.ok(node.disk.files.has(`${ID}/300w.jpg`), 'and what was made before stays')
})

test('One that the disk has damaged meanwhile is not believed after a restart', async () => {
  const first = stageOf()
  await first.upload(LARGE)
  await first.mezzanines.make(ID)
  const path = `mezzanines/${ID}/480`
  const damaged = Buffer.from(first.disk.files.get(path) ?? '')
  damaged.fill(0, 100, 200)
  const node = stageOf({ store: first.memory, disk: { files: new Map([[path, damaged]]), full: false } })
  await node.renditions.rendition(wanted(ID, '300w'), never)
  assert.deepEqual(node.asked, [`open ${mezzanineKey(ID, 480)}`])
  assert.deepEqual(node.disk.files.get(path), first.disk.files.get(path))
})

test('A damaged mezzanine is never used: the original is', async () => {
  const first = stageOf()
  await first.upload(LARGE)
  await first.mezzanines.make(ID)
  const node = stageOf({ store: first.memory })
  for (const key of mezzanineKeys(ID)) {
    const object = first.objects.get(key)
    assert.ok(object)
    const bytes = Buffer.from(object.bytes)
    bytes.writeUInt8(bytes.readUInt8(20) ^ 1, 20)
    first.objects.set(key, { ...object, bytes })
  }
  await node.renditions.rendition(wanted(ID, '300w'), never)
  const looks = ([480, 768] as const).map((level) => `open ${mezzanineKey(ID, level)}`)
  assert.deepEqual(node.asked.slice(0, 3), [...looks, `open ${originalKey(ID)}`])
  assert.match(node.troubles.join(), /damaged mezzanine/)
  await node.mezzanines.make(ID)
  await stageOf({ store: first.memory }).renditions.rendition(wanted(ID, '300w'), never)
})

test('A mezzanine without its original, as a crash during a deletion may leave it, brings nothing back to life', async () => {
  const first = stageOf()
  await first.upload(LARGE)
  await first.mezzanines.make(ID)
  const kept = mezzanineKeys(ID).map((key) => [key, first.objects.get(key)] as const)
  await first.deletions.remove(ID, never)
  assert.ok(
    mezzanineKeys(ID).every((key) => !first.objects.has(key)),
    'a deletion takes them along',
  )
  for (const [key, object] of kept) if (object) first.objects.set(key, object)
  const node = stageOf({ store: first.memory })
  await assert.rejects(node.renditions.rendition(wanted(ID, '300w'), never), { code: 'original_deleted' })
})

test('A store that cannot be written to costs the sharing and nothing else', async () => {
  const stage = stageOf()
  await stage.plant(LARGE)
  stage.store.put = () => Promise.reject(new UnavailableError('store_unavailable', 'Read only'))
  await stage.renditions.rendition(wanted(ID, '300w'), never)
  await stage.mezzanines.make(ID)
  assert.ok(stage.disk.files.has(`mezzanines/${ID}/768`))
  assert.equal(stage.troubles.length, 1, 'the operator hears of it, once')
  await stage.renditions.rendition(wanted(ID, '200w'), never)
})

test('A disk that takes nothing leaves the mezzanine in memory for the sizes that follow', async () => {
  const first = stageOf()
  await first.upload(LARGE)
  await first.mezzanines.make(ID)
  const node = stageOf({ store: first.memory, disk: { files: new Map(), full: true } })
  await node.renditions.rendition(wanted(ID, '300w'), never)
  await node.renditions.rendition(wanted(ID, '200w'), never)
  assert.deepEqual(node.asked, [`open ${mezzanineKey(ID, 480)}`])
})

test('Mezzanines that would weigh more than they are worth are not kept, and not made again and again', async () => {
  const stage = stageOf()
  const dense = original({ stored: { width: 4000, height: 2000 }, format: 'jpeg' })
  const id = await stage.plant(dense)
  await stage.renditions.rendition(wanted(id, '400w'), never)
  await stage.mezzanines.make(id)
  assert.deepEqual(stage.engine.reduced, [480, 768, 1536])
  assert.ok(mezzanineKeys(id).every((key) => !stage.objects.has(key)))
  await stage.renditions.rendition(wanted(id, '300w'), never)
  await stage.mezzanines.make(id)
  assert.deepEqual(stage.engine.reduced, [480, 768, 1536])
})

test('Who stops leaves what has not begun', async () => {
  const stage = stageOf()
  await stage.plant(LARGE)
  await stage.mezzanines.stop()
  await stage.mezzanines.make(ID)
  assert.deepEqual([stage.engine.reduced.length, stage.mezzanines.pending], [0, 0])
})
