import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resourceId } from '../../../../src/domain/identity/image-id.ts'
import type { ImageEvent } from '../../../../src/domain/info/image-event.ts'
import { parsePurgeRequest } from '../../../../src/domain/info/purge-request.ts'
import { formatRemotePointer } from '../../../../src/domain/stored/remote-pointer.ts'
import { labelKey, PURGES_PREFIX, remotePointerKey } from '../../../../src/domain/stored/store-layout.ts'
import { UnavailableError } from '../../../../src/errors.ts'
import { createPurgeService } from '../../../../src/service/library/purge-service.ts'
import { createMemoryBucket } from '../../../support/memory-bucket.ts'
import { createMemoryStore } from '../../../support/memory-store.ts'

const never = new AbortController().signal
const ID = '3f'.repeat(20)
const OTHER = 'ab'.repeat(20)
const FRESHNESS = { freshSeconds: 1e6, staleWhileRevalidateSeconds: 0, staleIfErrorSeconds: 0 }

function setUp({ keyPrefix = '', down = false }: { readonly keyPrefix?: string; readonly down?: boolean } = {}) {
  const store = createMemoryStore()
  const bucket = createMemoryBucket()
  const announced: string[] = []
  const reported: ImageEvent[] = []
  const removed: string[] = []
  const troubles: string[] = []
  const state = { down, outboxDown: false, now: Date.now() }
  const put = (key: string, text = '') =>
    void store.objects.set(key, { bytes: Buffer.from(text), contentType: '', md5: '', modifiedAt: new Date(state.now) })
  const announce = async (id: string) => {
    if (state.down) throw new UnavailableError('store_unavailable', 'Down')
    announced.push(id)
  }
  const start = (node: string) =>
    createPurgeService({
      store,
      watch: { announce },
      outbox: {
        async report(event) {
          if (!announced.includes(event.subject)) assert.fail('the nodes are told first')
          if (state.outboxDown) throw new UnavailableError('store_unavailable', 'Down')
          reported.push(event)
        },
      },
      shared: { remove: async (id) => void removed.push(id) },
      buckets: new Map([['photos', { bucket, keyPrefix }]]),
      meter: { trouble: (message) => void troubles.push(message) },
      node,
      now: () => state.now,
    })
  const addRemote = (url: string): string => {
    const id = resourceId({ kind: 'remote', url })
    const pointer = { url, sha256: 'ab'.repeat(32), sizeBytes: 1, checkedAt: 1, freshness: FRESHNESS }
    put(remotePointerKey(id), formatRemotePointer(pointer))
    return id
  }
  const purges = () => [...store.objects.keys()].filter((key) => key.startsWith(PURGES_PREFIX))
  return { store, bucket, announced, reported, removed, troubles, state, put, start, addRemote, purges }
}

type Stage = ReturnType<typeof setUp>

async function purge(stage: Stage, lists: object): Promise<void> {
  const service = stage.start('0000000a')
  const body = JSON.stringify(lists)
  await service.accept(parsePurgeRequest(body), body, never)
  while (service.pending > 0) await new Promise(setImmediate)
}

const objectId = (key: string) => resourceId({ kind: 'object', bucket: 'photos', key })

test('Ids and keys are invalidated whether they exist or not', async () => {
  const stage = setUp()
  await purge(stage, { ids: [ID], keys: ['photos/none.jpg'] })
  assert.deepEqual(stage.announced, [ID, objectId('none.jpg')])
  assert.deepEqual(stage.removed, stage.announced)
  assert.deepEqual(stage.purges(), [])
})

test('A label stands for its images, and a prefix for the objects of its bucket', async () => {
  const stage = setUp()
  for (const id of [ID, OTHER]) stage.put(labelKey('cats', id))
  stage.put(labelKey('cats-2', 'cd'.repeat(20)))
  for (const key of ['2023/a.jpg', '2024/a.jpg', '2024/b.jpg', '2024-b.jpg'])
    stage.bucket.objects.set(key, Buffer.alloc(1))
  await purge(stage, { labels: ['cats', 'none'], prefixes: ['photos/2024/'] })
  assert.deepEqual(new Set(stage.announced), new Set([ID, OTHER, objectId('2024/a.jpg'), objectId('2024/b.jpg')]))
})

test('A prefix that is shorter than the keys that are served stands for these', async () => {
  const stage = setUp({ keyPrefix: 'public/' })
  for (const key of ['public/a.jpg', 'private/a.jpg', 'pulse.jpg']) stage.bucket.objects.set(key, Buffer.alloc(1))
  await purge(stage, { prefixes: ['photos/pu'] })
  assert.deepEqual(stage.announced, [objectId('public/a.jpg')])
  stage.announced.length = 0
  await purge(stage, { prefixes: ['photos/pulse'] })
  assert.deepEqual(stage.announced, [])
})

test('The pointer of a remote image goes before its invalidation, by URL and by host', async () => {
  const stage = setUp()
  const [one, two] = [stage.addRemote('https://a.example/1.jpg'), stage.addRemote('https://a.example/2.jpg')]
  const other = stage.addRemote('https://a.example:8443/1.jpg')
  await purge(stage, { urls: ['https://a.example/1.jpg'] })
  assert.deepEqual(stage.announced, [one])
  await purge(stage, { hosts: ['a.example'] })
  assert.deepEqual(stage.announced, [one, two])
  assert.ok(stage.store.objects.has(remotePointerKey(other)) && !stage.store.objects.has(remotePointerKey(two)))
})

test('An alias that is not configured is an error, and nothing is purged', async () => {
  const stage = setUp()
  await assert.rejects(purge(stage, { ids: [ID], prefixes: ['other/2024/'] }), { code: 'bucket_not_found' })
  assert.deepEqual([stage.announced, stage.purges()], [[], []])
})

test('A purge that a node could not finish is finished by another one, and not before the first has ended', async () => {
  const stage = setUp({ down: true })
  await purge(stage, { ids: [ID] })
  assert.deepEqual([stage.announced, stage.purges().length, stage.troubles.length], [[], 1, 1])
  stage.state.down = false
  const other = stage.start('0000000b')
  await other.resume(never)
  assert.deepEqual(stage.announced, [], 'the first node may still be at work')
  stage.state.now += 100_000
  await other.resume(never)
  assert.deepEqual([stage.announced, stage.purges()], [[ID], []])
})

test('A purge that cannot be stored is not accepted', async () => {
  const stage = setUp()
  const put = () => Promise.reject(new UnavailableError('store_unavailable', 'Down'))
  const service = createPurgeService({
    store: { ...stage.store, put },
    watch: { announce: async () => assert.fail('not accepted') },
    outbox: { report: async () => assert.fail('not accepted') },
    shared: { remove: async () => assert.fail('not accepted') },
    buckets: new Map(),
    meter: { trouble: (message) => assert.fail(message) },
    node: '0000000a',
    now: Date.now,
  })
  await assert.rejects(service.accept(parsePurgeRequest(`{"ids":["${ID}"]}`), '', never), { code: 'store_unavailable' })
})

test('Each purged original is reported in an event with its tag', async () => {
  const stage = setUp()
  const remote = stage.addRemote('https://a.example/1.jpg')
  await purge(stage, { ids: [ID], keys: ['photos/a.jpg'], hosts: ['a.example'] })
  assert.deepEqual(
    stage.reported.map(({ type, subject, data }) => [type, subject, data['id']]),
    [ID, objectId('a.jpg'), remote].map((id) => ['image.purged', id, id]),
  )
})

test('A purge whose events cannot be written is repeated', async () => {
  const stage = setUp()
  stage.state.outboxDown = true
  await purge(stage, { ids: [ID] })
  assert.deepEqual([stage.reported.length, stage.purges().length, stage.troubles.length], [0, 1, 1])
  stage.state.outboxDown = false
  stage.state.now += 100_000
  await stage.start('0000000b').resume(never)
  assert.deepEqual([stage.reported.map(({ subject }) => subject), stage.purges()], [[ID], []])
})
