import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { isTransientId, resourceId } from '../../../../src/domain/identity/image-id.ts'
import { parseSpec } from '../../../../src/domain/spec/spec.ts'
import { parseRemotePointer } from '../../../../src/domain/stored/remote-pointer.ts'
import { remotePointerKey } from '../../../../src/domain/stored/store-layout.ts'
import { OriginalError, RemoteError, UnavailableError } from '../../../../src/errors.ts'
import type { RemoteFreshness, RemoteSource } from '../../../../src/service/ports/remote.ts'
import { original } from '../../../support/memory-engine.ts'
import { createMemoryStore } from '../../../support/memory-store.ts'
import { createStage, never, type StageOptions } from '../../../support/service-stage.ts'

const REF = { kind: 'remote', url: 'https://a.example/b.jpg', client: '192.0.2.1' } as const
const RESOURCE = resourceId(REF)
const FRESH: RemoteFreshness = { storable: true, freshSeconds: 60, staleWhileRevalidateSeconds: 30, staleIfError: true }
const OLD = original()
const NEW = original({ stored: { width: 500, height: 400 } })

interface MemoryRemote extends RemoteSource {
  bytes: Buffer
  freshness: RemoteFreshness
  failure: Error | undefined
  /** With which ETag it was asked, in order. */
  readonly asked: (string | undefined)[]
}

/** A host whose ETag is the length of what it has. */
function createRemote(): MemoryRemote {
  const remote: MemoryRemote = {
    bytes: OLD,
    freshness: FRESH,
    failure: undefined,
    asked: [],
    async fetch(_url, known) {
      remote.asked.push(known.etag)
      if (remote.failure) throw remote.failure
      const { bytes, freshness } = remote
      const validators = { etag: `"${bytes.length}"`, lastModified: 'Sun, 01 Jun 2025 00:00:00 GMT' }
      if (known.etag === validators.etag) return { kind: 'unchanged', freshness, validators }
      return { kind: 'body', body: Readable.from([bytes]), freshness, validators }
    },
    async close() {},
  }
  return remote
}

function setStage(options: StageOptions & { readonly remote?: MemoryRemote } = {}) {
  const { remote = createRemote(), ...more } = options
  const stage = createStage({ ...more, remoteSource: remote })
  const current = () => stage.currentOf(REF, never)
  const render = () =>
    stage.versions.use(REF, never, async (id) => {
      await stage.renditions.rendition({ id, spec: parseSpec('full'), as: 'jpg' }, never)
      return id
    })
  return { ...stage, remote, current, render, pass: (seconds: number) => (stage.clock.ms += seconds * 1000) }
}

/** Resolves when what the background writes is written. */
async function settled(stage: ReturnType<typeof setStage>): Promise<void> {
  await stage.versions.stop()
}

test('A remote image is fetched once, kept in the store, and rendered without a second look at either', async () => {
  const stage = setStage()
  const id = await stage.render()
  await stage.render()
  await settled(stage)
  assert.deepEqual(stage.remote.asked, [undefined])
  assert.deepEqual(
    stage.asked.filter((call) => call.startsWith('open remotes')),
    [`open ${remotePointerKey(RESOURCE)}`],
  )
  assert.deepEqual(
    [...stage.objects.keys()].toSorted(),
    [remotePointerKey(RESOURCE).replace('pointer.json', id), remotePointerKey(RESOURCE)].toSorted(),
  )
  assert.equal(stage.objects.get(remotePointerKey(RESOURCE).replace('pointer.json', id))?.contentType, 'image/png')
})

test('Another node needs neither the host nor the first node', async () => {
  const first = setStage()
  const id = await first.render()
  await settled(first)
  const remote = createRemote()
  remote.failure = new RemoteError('remote_failed', 'Gone')
  const second = setStage({ store: first.memory, remote })
  assert.equal(await second.render(), id)
  assert.deepEqual(remote.asked, [])
  second.pass(100)
  assert.equal(await second.render(), id, 'also when its time is over')
  assert.equal(remote.asked.length, 1)
})

test('When its time is over the host is asked whether it has changed, and that is told to all nodes', async () => {
  const stage = setStage()
  const { id } = await stage.current()
  stage.pass(91)
  assert.equal((await stage.current()).id, id)
  assert.deepEqual(stage.remote.asked, [undefined, `"${OLD.length}"`])
  await settled(stage)
  const pointer = parseRemotePointer(String(stage.objects.get(remotePointerKey(RESOURCE))?.bytes))
  assert.equal(pointer?.checkedAt, stage.clock.ms)
})

test('A changed image is another version, and the old one leaves the store', async () => {
  const stage = setStage()
  const first = await stage.render()
  stage.remote.bytes = NEW
  stage.pass(91)
  const second = await stage.render()
  assert.notEqual(second, first)
  await settled(stage)
  assert.deepEqual([...stage.objects.keys()].filter((key) => !key.endsWith('.json')).length, 1)
})

test('A node that finds the version gone from the store fetches the image anew', async () => {
  const stage = setStage()
  const id = await stage.render()
  stage.objects.clear()
  stage.disk.files.clear()
  stage.originals.forget(new Set([id]))
  stage.renditions.forget(new Set([id]))
  assert.equal(await stage.render(), id)
  assert.deepEqual(stage.remote.asked, [undefined, undefined])
})

test('While the host fails the old picture goes on, and the host is spared for some seconds', async () => {
  const stage = setStage()
  const { id } = await stage.current()
  stage.remote.failure = new RemoteError('remote_failed', 'Down')
  stage.pass(1000)
  for (let times = 0; times < 5; times += 1) assert.equal((await stage.current()).id, id)
  assert.equal(stage.remote.asked.length, 2)
})

test('An image that must not be used without asking is not', async () => {
  const stage = setStage()
  stage.remote.freshness = { storable: true, freshSeconds: 0, staleWhileRevalidateSeconds: 0, staleIfError: false }
  await stage.current()
  stage.pass(1)
  stage.remote.failure = new RemoteError('remote_failed', 'Down')
  await assert.rejects(stage.current(), { code: 'remote_failed' })
})

test('An image that is gone from its host is gone', async () => {
  const stage = setStage()
  await stage.current()
  stage.remote.failure = new OriginalError('original_not_found', 'Image not found')
  stage.pass(91)
  for (let times = 0; times < 3; times += 1) await assert.rejects(stage.current(), { code: 'original_not_found' })
  assert.equal(stage.remote.asked.length, 2)
})

test('What nobody may keep leaves nothing behind, and is fetched for everybody who comes later', async () => {
  const stage = setStage()
  stage.remote.freshness = { storable: false, freshSeconds: 0, staleWhileRevalidateSeconds: 0, staleIfError: false }
  const ids = [await stage.render(), await stage.render()]
  assert.ok(ids.every(isTransientId) && ids[0] !== ids[1])
  assert.deepEqual([...stage.objects.keys()], [])
  assert.deepEqual([...stage.disk.files.keys()], [])
  assert.equal(stage.engine.rendered.length, 2)
})

test('What is no image is the failure of the host, and is kept nowhere', async () => {
  const stage = setStage()
  stage.remote.bytes = Buffer.from('<html>')
  await assert.rejects(stage.current(), { name: 'RemoteError', code: 'remote_failed' })
  await assert.rejects(stage.current(), { code: 'remote_failed' })
  assert.equal(stage.remote.asked.length, 1)
  assert.deepEqual([[...stage.objects.keys()], [...stage.disk.files.keys()]], [[], []])
})

test('A store that takes nothing costs the other nodes a fetch, and nobody a picture', async () => {
  const stage = setStage()
  stage.store.put = () => Promise.reject(new UnavailableError('store_full', 'Full'))
  await stage.render()
  assert.ok(stage.troubles.length > 0)
})

test('A store that does not answer costs a fetch', async () => {
  const stage = setStage()
  stage.store.open = () => Promise.reject(new UnavailableError('store_unavailable', 'Down'))
  await stage.render()
  assert.equal(stage.remote.asked.length, 1)
})

test('With a disk that takes nothing and a store that takes nothing there still is a picture', async () => {
  const stage = setStage()
  stage.store.put = () => Promise.reject(new UnavailableError('store_full', 'Full'))
  stage.disk.full = true
  await stage.render()
})

test('Where renditions are kept too, another node neither fetches nor renders', async () => {
  const first = setStage({ keepRenditions: true })
  const id = await first.render()
  await settled(first)
  const [kept = ''] = [...first.objects.keys()].filter((key) => key.endsWith('full.jpg'))
  assert.equal(first.objects.get(kept)?.contentType, 'image/jpeg')
  const second = setStage({ store: first.memory, keepRenditions: true })
  assert.equal(await second.render(), id)
  assert.deepEqual([second.engine.rendered, second.remote.asked], [[], []])
  assert.deepEqual(second.disk.files.get(`${id}/full.jpg`), first.disk.files.get(`${id}/full.jpg`))

  const damaged = first.objects.get(kept)
  if (damaged) first.objects.set(kept, { ...damaged, bytes: Buffer.concat([damaged.bytes, Buffer.from('x')]) })
  const third = setStage({ store: first.memory, keepRenditions: true })
  await third.render()
  assert.deepEqual(third.engine.rendered, ['1000x500 jpg'])
})

test('What was made of an old version leaves the store with it', async () => {
  const stage = setStage({ keepRenditions: true })
  const old = await stage.render()
  stage.remote.bytes = NEW
  stage.pass(91)
  await stage.render()
  while ([...stage.objects.keys()].some((key) => key.includes(old))) await new Promise(setImmediate)
  await settled(stage)
  assert.equal([...stage.objects.keys()].filter((key) => key.endsWith('full.jpg')).length, 1)
})

const DAY_SECONDS = 86_400
const LONG: RemoteFreshness = { ...FRESH, freshSeconds: 365 * DAY_SECONDS }

/** When each pointer was put into the store, in days, while the image is looked at for some weeks, several times a day. */
async function touchesOf(stage: ReturnType<typeof setStage>, days: number): Promise<number[]> {
  const puts: number[] = []
  for (let day = 0; day < days; day += 0.25) {
    await stage.current()
    await nothingIsUnderWay()
    if (stage.asked.splice(0).includes(`put ${remotePointerKey(RESOURCE)}`)) puts.push(day)
    stage.pass(DAY_SECONDS / 4)
  }
  return puts
}

/** All of it goes on in memory: what is under way ends within some turns of the event loop. */
async function nothingIsUnderWay(): Promise<void> {
  for (let turns = 0; turns < 20; turns += 1) await nextTurn()
}

const pointerOf = (stage: ReturnType<typeof setStage>) =>
  parseRemotePointer(String(stage.objects.get(remotePointerKey(RESOURCE))?.bytes))

test('The pointer of an image in use is rewritten once a week, and that of an idle one never', async () => {
  const stage = setStage()
  stage.remote.freshness = LONG
  const began = stage.clock.ms
  assert.deepEqual(await touchesOf(stage, 22), [0, 7, 14, 21])
  const pointer = pointerOf(stage)
  assert.deepEqual(
    [pointer?.checkedAt, pointer?.usedAt],
    [began, began + 21 * DAY_SECONDS * 1000],
    'it is no older for being used',
  )
  stage.pass(100 * DAY_SECONDS)
  await nothingIsUnderWay()
  assert.deepEqual(stage.asked, [])
})

test('Two nodes that use an image rewrite its pointer no more often than one', async () => {
  const first = setStage()
  first.remote.freshness = LONG
  await first.current()
  await nothingIsUnderWay()
  const second = setStage({ store: first.memory, clock: first.clock })
  await second.current()
  first.pass(7 * DAY_SECONDS)
  for (const stage of [first, second, first, second]) {
    await stage.current()
    await nothingIsUnderWay()
  }
  const puts = [...first.asked, ...second.asked].filter((call) => call.startsWith('put'))
  assert.equal(puts.filter((call) => call.endsWith('pointer.json')).length, 2, 'the first one, and one for that week')
})

test('A pointer that was purged, or that names another version by now, is not brought back', async () => {
  const stage = setStage()
  stage.remote.freshness = LONG
  await stage.current()
  await nothingIsUnderWay()
  const other = setStage({ store: stage.memory, clock: stage.clock })
  other.remote.bytes = NEW
  await other.current()
  other.versions.expire(REF)
  const { id } = await other.current()
  await nothingIsUnderWay()
  const newer = pointerOf(stage)
  stage.pass(7 * DAY_SECONDS)
  assert.notEqual((await stage.current()).id, id)
  await nothingIsUnderWay()
  assert.deepEqual(pointerOf(stage), newer)
  stage.objects.clear()
  stage.pass(7 * DAY_SECONDS)
  await stage.current()
  await nothingIsUnderWay()
  assert.deepEqual([...stage.objects.keys()], [])
})

const refOf = (name: string, client = '192.0.2.1') =>
  ({ kind: 'remote', url: `https://a.example/${name}.jpg`, client }) as const

test('Beyond the bound no new image is fetched, and what is known is served', async () => {
  const stage = setStage({ newRemotes: 2 })
  const { id } = await stage.current()
  await stage.currentOf(refOf('2'), never)
  await assert.rejects(stage.currentOf(refOf('3'), never), { code: 'too_many_requests' })
  await assert.rejects(stage.currentOf({ ...REF, tag: '2' }, never), { code: 'too_many_requests' })
  assert.equal(stage.remote.asked.length, 2)
  assert.equal((await stage.current()).id, id)
  stage.pass(1000)
  await stage.currentOf(refOf('3'), never)
})

test('An image that another node knows, or that has changed, is not new', async () => {
  const first = setStage()
  const { id } = await first.current()
  await settled(first)
  const stage = setStage({ store: first.memory, newRemotes: 1 })
  await stage.currentOf(refOf('2'), never)
  assert.equal((await stage.current()).id, id)
  stage.remote.bytes = NEW
  stage.pass(91)
  assert.notEqual((await stage.current()).id, id, 'the other one is still held against the bound')
})

test('An image whose bytes were removed from the store is known all the same', async () => {
  const first = setStage()
  const id = await first.render()
  await settled(first)
  for (const key of first.memory.objects.keys()) if (!key.endsWith('.json')) first.memory.objects.delete(key)
  const stage = setStage({ store: first.memory, newRemotes: 1 })
  await stage.currentOf(refOf('2'), never)
  assert.equal(await stage.render(), id)
})

test('What adds nothing to the store does not count: what is absent, and what may not be kept', async () => {
  const stage = setStage({ newRemotes: 1 })
  stage.remote.failure = new OriginalError('original_not_found', 'Image not found')
  for (const name of ['2', '3', '4'])
    await assert.rejects(stage.currentOf(refOf(name), never), { code: 'original_not_found' })
  stage.remote.failure = undefined
  stage.remote.freshness = { ...FRESH, storable: false }
  for (const name of ['5', '6']) await stage.currentOf(refOf(name), never)
  stage.remote.freshness = FRESH
  await stage.current()
  await assert.rejects(stage.currentOf(refOf('7'), never), { code: 'too_many_requests' })
})

test('What a store that fails did not take does not count', async () => {
  const store = createMemoryStore()
  const down = () => Promise.reject(new UnavailableError('store_unavailable', 'Down'))
  const stage = setStage({ store: { ...store, put: down }, newRemotes: 1 })
  for (const name of ['2', '3', '4']) await stage.currentOf(refOf(name), never)
})

test('Clients that ask for one new image together add one', async () => {
  const stage = setStage({ newRemotes: 2 })
  const clients = ['192.0.2.1', '192.0.2.2', '192.0.2.3']
  await Promise.all(clients.map((client) => stage.currentOf({ ...REF, client }, never)))
  await stage.currentOf(refOf('2'), never)
  assert.equal(stage.remote.asked.length, 2)
})

test('A host or a query parameter that is not on the list costs no look into the store', async () => {
  const stage = setStage()
  const current = (url: string) => stage.currentOf({ ...REF, url }, never)
  await assert.rejects(current('https://c.example/b.jpg'), { code: 'remote_not_allowed' })
  await assert.rejects(current('https://b.example/b.jpg?w=1'), { code: 'invalid_path' })
  assert.deepEqual([stage.asked, stage.remote.asked], [[], []])
  await current('https://b.example/b.jpg?v=1')
})

/** A stage whose store takes nothing until `go`. */
function setSlowStage() {
  const store = createMemoryStore()
  const held = Promise.withResolvers<void>()
  const put: typeof store.put = async (...args) => {
    await held.promise
    return await store.put(...args)
  }
  return { stage: setStage({ store: { ...store, put }, newRemotes: 2 }), objects: store.objects, go: held.resolve }
}

test('A view does not wait for the store to take the original, and a shutdown does', async () => {
  const { stage, objects, go } = setSlowStage()
  const id = await stage.render()
  assert.equal(objects.size, 0)
  assert.equal(stage.engine.rendered.length, 1)
  const stopped = stage.versions.stop()
  go()
  await stopped
  const key = remotePointerKey(RESOURCE)
  assert.deepEqual([...objects.keys()].toSorted(), [key.replace('pointer.json', id), key].toSorted())
})

test('An original that the store is still taking counts as a new one', async () => {
  const { stage, go } = setSlowStage()
  await stage.currentOf(refOf('2'), never)
  await stage.currentOf(refOf('3'), never)
  await assert.rejects(stage.currentOf(refOf('4'), never), { code: 'too_many_requests' })
  go()
  await settled(stage)
})

test('The pointer names the newest version though the store takes the older one late', async () => {
  const { stage, objects, go } = setSlowStage()
  await stage.current()
  stage.remote.bytes = NEW
  stage.pass(91)
  const { id } = await stage.current()
  go()
  await settled(stage)
  const key = remotePointerKey(RESOURCE)
  assert.deepEqual([...objects.keys()].toSorted(), [key.replace('pointer.json', id), key].toSorted())
  assert.equal(parseRemotePointer(String(objects.get(key)?.bytes))?.sizeBytes, NEW.length)
})

test('An original that is damaged in the store is fetched from its host again', async () => {
  const first = setStage()
  const id = await first.render()
  await settled(first)
  const key = remotePointerKey(RESOURCE).replace('pointer.json', id)
  const stored = first.objects.get(key)
  assert.ok(stored)
  first.objects.set(key, { ...stored, bytes: Buffer.alloc(stored.bytes.length) })
  const second = setStage({ store: first.memory })
  assert.equal(await second.render(), id)
  assert.deepEqual(second.remote.asked, [undefined])
  assert.ok(second.troubles.some((line) => line.includes(id)))
  await settled(second)
  assert.deepEqual(first.objects.get(key)?.bytes, OLD)
})
