import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { resourceId, versionId } from '../../../../src/domain/identity/image-id.ts'
import { remoteOriginalKey, remotePointerKey, remoteRenditionKey } from '../../../../src/domain/stored/store-layout.ts'
import { UnavailableError } from '../../../../src/errors.ts'
import { createRemotePurge, type RemotePurgeOptions } from '../../../../src/service/library/remote-purge.ts'
import type { ListedObject } from '../../../../src/service/ports/store.ts'
import { collectGarbage } from '../../../support/collect-garbage.ts'
import { createMemoryStore } from '../../../support/memory-store.ts'

const never = new AbortController().signal
const NOW = 1_800_000_000_000
const DAY_MS = 86_400_000
const POINTER_BYTES = 100

const resourceOf = (name: string) => resourceId({ kind: 'remote', url: `https://a.example/${name}` })

interface Added {
  readonly bytes?: number
  /** Of the pointer. */
  readonly ageMs?: number
  /** Bytes of one that is kept. */
  readonly rendition?: number
  /** Of all but the pointer. Absent: the same. */
  readonly bytesAgeMs?: number
}

function setUp() {
  const store = createMemoryStore()
  const put = (key: string, sizeBytes: number, writtenAt: number) =>
    void store.objects.set(key, {
      bytes: Buffer.alloc(sizeBytes),
      contentType: 'image/png',
      md5: '',
      modifiedAt: new Date(writtenAt),
    })
  /** @returns its keys: pointer, bytes, rendition. */
  function add(name: string, { bytes = 900, ageMs = 0, rendition = 0, bytesAgeMs }: Added = {}): readonly string[] {
    const bytesAt = NOW - (bytesAgeMs ?? ageMs)
    const resource = resourceOf(name)
    const version = versionId(resource, name)
    put(remotePointerKey(resource), POINTER_BYTES, NOW - ageMs)
    put(remoteOriginalKey(resource, version), bytes, bytesAt)
    const renditionKey = remoteRenditionKey(resource, version, '1-100w.webp')
    if (rendition > 0) put(renditionKey, rendition, bytesAt)
    return [remotePointerKey(resource), remoteOriginalKey(resource, version), ...(rendition > 0 ? [renditionKey] : [])]
  }
  const purge = (maxBytes: number, options: Partial<RemotePurgeOptions> = {}) =>
    createRemotePurge({ store, maxBytes, dryRun: false, now: () => NOW, ...options }).run(never)
  const names = (...all: string[]) => all.filter((name) => store.objects.has(remotePointerKey(resourceOf(name))))
  return { store, put, add, purge, names }
}

test('The images that nobody has asked for the longest are deleted until the rest fits, with all that is theirs', async () => {
  const { store, add, purge, names } = setUp()
  add('a', { ageMs: 3 * DAY_MS, rendition: 500 })
  add('b', { ageMs: DAY_MS })
  add('c', { ageMs: 9 * DAY_MS })
  add('d', { ageMs: 2 * DAY_MS })
  const others = ['originals/3f/2a/3f2a', 'records/3f/2a/3f2a.json', 'aliases/3f/2a/3f2a', 'remotes-of-others/x']
  for (const key of others)
    store.objects.set(key, { bytes: Buffer.alloc(9999), contentType: '', md5: '', modifiedAt: new Date(0) })
  const report = await purge(2000)
  assert.deepEqual(names('a', 'b', 'c', 'd'), ['b', 'd'])
  assert.equal(store.objects.size, 4 + others.length)
  assert.partialDeepStrictEqual(report, {
    images: 4,
    bytesBefore: 4500,
    removedImages: 2,
    removedObjects: 5,
    removedBytes: 2500,
    failed: 0,
    stopped: false,
  })
  assert.equal((await purge(2000)).removedImages, 0)
})

test('What fits stays, and of nothing there is nothing to delete', async () => {
  const { add, purge, names } = setUp()
  assert.equal((await purge(0)).images, 0)
  add('a', { ageMs: 500 * DAY_MS })
  assert.equal((await purge(1000)).removedImages, 0)
  assert.deepEqual(names('a'), ['a'])
  await purge(0)
  assert.deepEqual(names('a'), [])
})

test('It is the pointer that tells how long an image has been idle, and bytes without one tell for themselves', async () => {
  const { store, add, purge, names } = setUp()
  add('used', { ageMs: DAY_MS, bytesAgeMs: 300 * DAY_MS })
  add('idle', { ageMs: 20 * DAY_MS, bytesAgeMs: 10 * DAY_MS })
  const [pointer = '', bytes = ''] = add('orphan', { ageMs: 0, bytesAgeMs: 30 * DAY_MS })
  store.objects.delete(pointer)
  await purge(2000)
  assert.deepEqual([names('used', 'idle'), store.objects.has(bytes)], [['used', 'idle'], false])
  await purge(1000)
  assert.deepEqual(names('used', 'idle'), ['used'])
})

test('A dry run says the same and deletes nothing', async () => {
  const { store, add, purge } = setUp()
  for (const [index, name] of ['a', 'b', 'c'].entries()) add(name, { ageMs: index * DAY_MS })
  const dry = await purge(1000, { dryRun: true })
  assert.equal(store.objects.size, 6)
  assert.deepEqual(await purge(1000), { ...dry, dryRun: false })
  assert.equal(dry.removedImages, 2)
})

test('The pointer goes first, so that none is left that names missing bytes', async () => {
  const { store, add, purge } = setUp()
  const keys = add('a', { rendition: 10 })
  const removed: string[] = []
  const remove = async (key: string, signal: AbortSignal) => {
    removed.push(key)
    await store.remove(key, signal)
  }
  await purge(0, { store: { ...store, remove } })
  assert.deepEqual(removed, keys)
})

test('An image that comes into use before it is its turn stays', async () => {
  const { store, add, put, purge, names } = setUp()
  add('a', { ageMs: 9 * DAY_MS })
  add('b', { ageMs: 5 * DAY_MS })
  const folder = remotePointerKey(resourceOf('a')).replace('pointer.json', '')
  async function* listObjects(prefix: string, after: string, signal: AbortSignal) {
    if (prefix === folder) put(remotePointerKey(resourceOf('a')), POINTER_BYTES, NOW)
    yield* store.listObjects(prefix, after, signal)
  }
  const { usedMeanwhile } = await purge(1000, { store: { ...store, listObjects } })
  assert.equal(usedMeanwhile, 1)
  assert.ok(names('a', 'b').includes('a'))
})

test('What the store does not delete is counted, and the others are deleted', async () => {
  const { store, add, purge, names } = setUp()
  const [pointer = ''] = add('a', { ageMs: 3 * DAY_MS })
  add('b', { ageMs: 2 * DAY_MS })
  const remove = async (key: string, signal: AbortSignal) => {
    if (key === pointer) throw new UnavailableError('store_unavailable', 'The object store is busy')
    await store.remove(key, signal)
  }
  const { removedImages, failed, firstFailure } = await purge(0, { store: { ...store, remove } })
  assert.deepEqual([removedImages, failed, firstFailure], [1, 1, 'The object store is busy'])
  assert.deepEqual(names('a', 'b'), ['a'])
})

test('A store that does not answer ends it, and so do too many failures', async () => {
  const { store, add, purge } = setUp()
  for (let index = 0; index < 200; index += 1) add(`${index}`)
  const down = new UnavailableError('store_unavailable', 'The object store does not respond')
  async function* listObjects(prefix: string, after: string, signal: AbortSignal) {
    yield* store.listObjects(prefix, after, signal)
    throw down
  }
  await assert.rejects(purge(0, { store: { ...store, listObjects } }), down)
  await assert.rejects(purge(0, { store: { ...store, remove: () => Promise.reject(down) } }), down)
  assert.equal(store.objects.size, 400)
})

test('It ends early when it is told to, and says what it has done', async () => {
  const { store, add } = setUp()
  for (let index = 0; index < 50; index += 1) add(`${index}`)
  const stopping = new AbortController()
  let removals = 0
  const remove = async (key: string, signal: AbortSignal) => {
    signal.throwIfAborted()
    await store.remove(key, signal)
    removals += 1
    if (removals === 20) stopping.abort()
  }
  const purge = createRemotePurge({ store: { ...store, remove }, maxBytes: 0, dryRun: false, now: () => NOW })
  const { stopped, removedImages } = await purge.run(stopping.signal)
  assert.equal(stopped, true)
  assert.ok(removedImages > 0 && removedImages <= 20)
  assert.ok(store.objects.size >= 100 - 2 * 20)
})

test('No image is deleted while one that is 1 % older stays, and no more of them than is needed', async () => {
  // Ages within 0.2 % of each other count as equal, so each is 1 % older than the one before.
  const image = fc.record({ bytes: fc.integer({ min: 1, max: 5000 }), step: fc.integer({ min: 1, max: 900 }) })
  const images = fc.uniqueArray(image, { selector: ({ step }) => step, minLength: 1, maxLength: 30 })
  await fc.assert(
    fc.asyncProperty(images, fc.nat({ max: 60_000 }), async (all, maxBytes) => {
      const { add, purge, names } = setUp()
      for (const { bytes, step } of all) add(`${step}`, { bytes, ageMs: Math.round(DAY_MS * 1.01 ** step) })
      await purge(maxBytes)
      const byAge = all.toSorted((one, other) => one.step - other.step)
      let total = 0
      const expected = byAge.filter(({ bytes }) => {
        total += bytes + POINTER_BYTES
        return total <= maxBytes
      })
      assert.deepEqual(
        names(...byAge.map(({ step }) => `${step}`)),
        expected.map(({ step }) => `${step}`),
      )
    }),
    { numRuns: 100 },
  )
})

test('A hundred thousand images take no more memory than a thousand', async () => {
  const PER_PREFIX = 400
  const heapBytes: number[] = []
  let listed = 0
  async function* listObjects(prefix: string): AsyncIterable<ListedObject> {
    // What is to be deleted is listed once more.
    const count = prefix.length > 'remotes/00/'.length ? 0 : PER_PREFIX
    for (let index = 0; index < count; index += 1) {
      const hex = prefix.slice('remotes/'.length, -1) + index.toString(16).padStart(38, '0')
      const folder = `remotes/${hex.slice(0, 2)}/${hex.slice(2, 4)}/r${hex}`
      const modifiedAt = new Date(NOW - index * 60_000)
      yield { key: `${folder}/pointer.json`, sizeBytes: 400, modifiedAt }
      yield { key: `${folder}/v${hex}`, sizeBytes: 100_000, modifiedAt }
      listed += 1
      if (listed % 20_000 !== 0) continue
      collectGarbage()
      heapBytes.push(process.memoryUsage().heapUsed)
    }
  }
  const images = 256 * PER_PREFIX
  const maxBytes = (images / 2) * 100_400
  const purge = createRemotePurge({
    store: { listObjects, remove: async () => {} },
    maxBytes,
    dryRun: false,
    now: () => NOW,
  })
  const report = await purge.run(never)
  assert.deepEqual([report.images, report.removedImages], [images, images / 2])
  assert.ok(heapBytes.length >= 10)
  const grown = Math.max(...heapBytes) - Math.min(...heapBytes)
  assert.ok(grown < 8 * 2 ** 20, `${grown} bytes more`)
})
