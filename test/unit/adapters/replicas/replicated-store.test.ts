import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buffer } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { createReplicatedStore } from '../../../../src/adapters/replicas/replicated-store.ts'
import {
  aliasKey,
  deletedKey,
  mezzanineKey,
  originalKey,
  recordKey,
} from '../../../../src/domain/stored/store-layout.ts'
import { UnavailableError } from '../../../../src/errors.ts'
import type { ObjectStore } from '../../../../src/service/ports/store.ts'
import { putBytes } from '../../../../src/service/tools/small-object.ts'
import { createMemoryStore } from '../../../support/memory-store.ts'

const never = new AbortController().signal
const ID = 'ab'.repeat(20)
const ORIGINAL = originalKey(ID)
const MEZZANINE = mezzanineKey(ID, 768)

type Weather = 'fine' | 'away' | 'silent'

/** A store in memory that can be away or silent. */
function endpoint(label: string) {
  const memory = createMemoryStore()
  const calls: string[] = []
  const state: { weather: Weather } = { weather: 'fine' }
  const through = async <T>(call: string, signal: AbortSignal, run: () => Promise<T>): Promise<T> => {
    calls.push(call)
    if (state.weather === 'away') throw new UnavailableError('store_unavailable', `${label} is away`)
    if (state.weather === 'fine') return await run()
    return await new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
  }
  const store: ObjectStore = {
    ...memory,
    open: (key, signal) => through(`GET ${key}`, signal, () => memory.open(key, signal)),
    stat: (key, signal) => through(`HEAD ${key}`, signal, () => memory.stat(key, signal)),
    put: (key, source, options, signal) =>
      through(`PUT ${key}`, signal, () => memory.put(key, source, options, signal)),
  }
  return { label, store, memory, calls, state }
}

async function stage(order: 'primary first' | 'replica first' = 'primary first') {
  const [primary, replica] = [endpoint('store'), endpoint('replica:1')]
  const endpoints = order === 'primary first' ? [primary, replica] : [replica, primary]
  const store = createReplicatedStore({ primary: primary.store, endpoints })
  const put = async (key: string, ...at: readonly (typeof primary)[]): Promise<void> => {
    for (const { memory, label } of at) {
      const bytes = Buffer.from(`${key} of ${label}`)
      await putBytes(memory, { key, bytes, contentType: 'text/plain' }, never)
    }
  }
  const read = async (key: string): Promise<string | undefined> => {
    const object = await store.open(key, never)
    return object && (await buffer(object.body)).toString().replace(/.* of /, '')
  }
  return { primary, replica, store, put, read }
}

test('while the primary responds, it serves and decides, and a replica is not asked', async () => {
  const { primary, replica, put, read, store } = await stage()
  await put(ORIGINAL, primary, replica)
  assert.equal(await read(ORIGINAL), 'store')
  primary.memory.objects.clear()
  assert.equal(await read(ORIGINAL), undefined)
  assert.equal(await store.stat(ORIGINAL, never), undefined)
  assert.deepEqual(replica.calls, [])
  assert.deepEqual(
    store.endpoints.map(({ label, served }) => [label, served]),
    [
      ['store', 3],
      ['replica:1', 0],
    ],
  )
})

for (const weather of ['away', 'silent'] as const) {
  test(`while the primary is ${weather}, replicas serve originals, mezzanines and aliases`, async () => {
    const { primary, replica, put, read, store } = await stage()
    const keys = [ORIGINAL, MEZZANINE, aliasKey('cd'.repeat(20))]
    for (const key of keys) await put(key, replica)
    primary.state.weather = weather
    assert.deepEqual(await Promise.all(keys.map(read)), ['replica:1', 'replica:1', 'replica:1'])
    assert.ok(await store.stat(ORIGINAL, never))
  })
}

test('while the primary is away, an original that a replica lacks is unavailable, not missing', async () => {
  const { primary, store } = await stage()
  primary.state.weather = 'away'
  await assert.rejects(store.open(ORIGINAL, never), { code: 'store_unavailable' })
  await assert.rejects(store.stat(ORIGINAL, never), { code: 'store_unavailable' })
  await assert.rejects(store.open(aliasKey(ID), never), { code: 'store_unavailable' })
  // It is made again from the original.
  assert.equal(await store.open(MEZZANINE, never), undefined)
})

test('records, deletion marks and writes are a matter of the primary alone', async () => {
  const { primary, replica, put, store } = await stage('replica first')
  await put(recordKey(ID), replica)
  await put(deletedKey(ID), replica)
  assert.equal(await store.open(recordKey(ID), never), undefined)
  assert.equal(await store.stat(deletedKey(ID), never), undefined)
  primary.state.weather = 'away'
  const bytes = Buffer.from('x')
  await assert.rejects(putBytes(store, { key: ORIGINAL, bytes, contentType: 'text/plain' }, never), /store is away/)
  await assert.rejects(store.open(recordKey(ID), never), /store is away/)
  assert.deepEqual(replica.calls, [])
})

test('a nearer replica serves what the primary has; what it lacks comes from the primary', async () => {
  const { primary, replica, put, read } = await stage('replica first')
  await put(ORIGINAL, primary)
  assert.equal(await read(ORIGINAL), 'store')
  await put(ORIGINAL, replica)
  assert.equal(await read(ORIGINAL), 'replica:1')
  assert.ok(primary.calls.includes(`HEAD ${ORIGINAL}`))
})

test('a deleted image does not come back from a replica that is behind', async () => {
  const { primary, replica, put, read, store } = await stage('replica first')
  await put(ORIGINAL, replica)
  assert.equal(await read(ORIGINAL), undefined)
  assert.equal(await store.stat(ORIGINAL, never), undefined)
  // Nor while the primary is away, if this node or the replica has learnt of the deletion.
  primary.state.weather = 'away'
  await put(deletedKey(ID), replica)
  await assert.rejects(store.open(ORIGINAL, never), { code: 'store_unavailable' })
  replica.memory.objects.delete(deletedKey(ID))
  assert.equal(await read(ORIGINAL), 'replica:1')
  store.forget(new Set([ID]))
  await assert.rejects(store.open(ORIGINAL, never), { code: 'store_unavailable' })
  await assert.rejects(store.stat(ORIGINAL, never), { code: 'store_unavailable' })
})

test('reads avoid an endpoint that leaves them without a response, until a probe of the same object succeeds', async () => {
  const { primary, replica, put, read, store } = await stage()
  await put(ORIGINAL, primary, replica)
  primary.state.weather = 'silent'
  await Promise.all([read(ORIGINAL), read(ORIGINAL), read(ORIGINAL)])
  assert.deepEqual(
    store.endpoints.map(({ isAside }) => isAside),
    [true, false],
  )
  primary.calls.length = 0
  assert.equal(await read(ORIGINAL), 'replica:1')
  assert.deepEqual(primary.calls, [])
  await store.probe(never)
  assert.equal(store.endpoints[0]?.isAside, true)
  primary.state.weather = 'fine'
  await store.probe(never)
  assert.deepEqual(primary.calls, [`GET ${ORIGINAL}`, `GET ${ORIGINAL}`])
  assert.equal(await read(ORIGINAL), 'store')
})

test('a mezzanine that a replica lacks is not asked of a primary that reads avoid', async () => {
  const { primary, replica, put, read, store } = await stage()
  await put(ORIGINAL, primary, replica)
  primary.state.weather = 'silent'
  await Promise.all([read(ORIGINAL), read(ORIGINAL), read(ORIGINAL)])
  primary.calls.length = 0
  assert.equal(await store.open(MEZZANINE, never), undefined)
  assert.deepEqual(primary.calls, [])
})

test('after a damaged body the next read of the object asks the other endpoint first', async () => {
  const { primary, replica, put, read, store } = await stage()
  await put(ORIGINAL, primary, replica)
  const object = await store.open(ORIGINAL, never)
  object?.body.destroy()
  assert.equal(object?.takeRetry?.(), true)
  assert.equal(await read(ORIGINAL), 'replica:1')
})

test('a slow GET is repeated at the next endpoint, and at the same one without replicas; at most 3 % are', async () => {
  for (const hasReplica of [true, false]) {
    const [primary, replica] = [endpoint('store'), endpoint('replica:1')]
    for (const { memory } of [primary, replica])
      await putBytes(memory, { key: ORIGINAL, bytes: Buffer.from('x'), contentType: 'text/plain' }, never)
    let opens = 0
    const slow: ObjectStore = {
      ...primary.store,
      async open(key, signal) {
        opens += 1
        // Every tenth response takes longer than the shortest hedge.
        if (opens % 10 === 0) await delay(60)
        return await primary.store.open(key, signal)
      },
    }
    const endpoints = hasReplica ? [{ label: 'store', store: slow }, replica] : [{ label: 'store', store: slow }]
    const store = createReplicatedStore({ primary: slow, endpoints })
    for (let count = 0; count < 400; count += 1)
      await store.open(ORIGINAL, never).then((found) => found && buffer(found.body))
    const { sent, won } = store.hedges
    assert.ok(sent >= 5 && sent <= 12 && won <= sent && won >= 1, `${sent} hedges, ${won} won`)
    const extra = hasReplica ? replica.calls.filter((call) => call.startsWith('GET')).length : opens - 400
    assert.equal(extra, sent)
  }
})
