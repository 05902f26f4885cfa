import assert from 'node:assert/strict'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { createFileStore } from '../../src/adapters/file-store/file-store.ts'
import { createS3Store } from '../../src/adapters/s3/s3-store.ts'
import { UnavailableError } from '../../src/errors.ts'
import type { ObjectStore, PutOptions } from '../../src/service/ports/store.ts'
import { newBucket } from '../../tools/s3/s3-bucket.ts'
import { collectGarbage } from '../support/collect-garbage.ts'
import { createMemoryStore } from '../support/memory-store.ts'

const never = new AbortController().signal
const LARGE_BYTES = 20 * 1024 * 1024

objectStoreContract('memory', async () => createMemoryStore())
objectStoreContract('file', async (t) => createFileStore(await temporaryFolder(t)))
objectStoreContract('s3', async (t) => {
  // Of several who create a key at once SeaweedFS lets the losers wait, each for a second more.
  const store = createS3Store({ ...(await newBucket()), limits: { firstByteTimeoutMs: 20_000, putTimeoutMs: 40_000 } })
  t.after(() => store.close())
  return store
})

/** What every `ObjectStore` promises. `make` gives an empty store. */
function objectStoreContract(name: string, make: (t: TestContext) => Promise<ObjectStore>): void {
  const bytes = Buffer.from('the bytes of an object')

  test(`${name}: bytes are read back, with their size`, async (t) => {
    const store = await make(t)
    const key = shardedKey('originals')
    assert.equal(await store.put(key, { bytes }, optionsFor(bytes), never), 'created')
    assert.deepEqual(await read(store, key), bytes)
    const stat = await store.stat(key, never)
    assert.equal(stat?.sizeBytes, bytes.length)
    assert.ok([undefined, md5(bytes)].includes(stat.md5))
    assert.ok(Math.abs(Date.now() - stat.modifiedAt.getTime()) < 60_000)
  })

  test(`${name}: a file of 20 MB is read back without ever being held in memory`, async (t) => {
    const store = await make(t)
    const key = shardedKey('originals')
    const path = join(await temporaryFolder(t), 'large')
    await writeFile(path, randomBytes(LARGE_BYTES))
    const expected = await fileMd5(path)
    const options = { contentType: 'image/jpeg', sizeBytes: LARGE_BYTES, md5: expected } as const
    const memory = watchBuffers(t)
    assert.equal(await store.put(key, { path }, options, never), 'created')
    const opened = await store.open(key, never)
    assert.equal(opened?.sizeBytes, LARGE_BYTES)
    const hash = createHash('md5')
    for await (const chunk of bytesOf(opened.body)) hash.update(chunk)
    assert.equal(hash.digest('hex'), expected)
    t.diagnostic(`${memory.peakBytes()} bytes at the most`)
    if (name !== 'memory') assert.ok(memory.peakBytes() < LARGE_BYTES / 2, `held ${memory.peakBytes()} bytes`)
  })

  test(`${name}: an empty object is an object`, async (t) => {
    const store = await make(t)
    const key = shardedKey('deleted')
    const empty = Buffer.alloc(0)
    assert.equal(await store.put(key, { bytes: empty }, optionsFor(empty), never), 'created')
    assert.equal((await store.stat(key, never))?.sizeBytes, 0)
    assert.deepEqual(await read(store, key), empty)
  })

  test(`${name}: a taken key is left alone unless overwriting is asked for`, async (t) => {
    const store = await make(t)
    const key = shardedKey('records', '.json')
    const other = Buffer.from('other bytes')
    assert.equal(await store.put(key, { bytes }, optionsFor(bytes), never), 'created')
    assert.equal(await store.put(key, { bytes: other }, optionsFor(other), never), 'exists')
    assert.deepEqual(await read(store, key), bytes)
    assert.equal(await store.put(key, { bytes: other }, { ...optionsFor(other), overwrite: true }, never), 'created')
    assert.deepEqual(await read(store, key), other)
  })

  test(`${name}: an object that can be made again is complete at once, and replaces another`, async (t) => {
    const store = await make(t)
    const key = shardedKey('mezzanines')
    const other = Buffer.from('other bytes')
    const rebuildable = { rebuildable: true, overwrite: true }
    assert.equal(await store.put(key, { bytes }, { ...optionsFor(bytes), ...rebuildable }, never), 'created')
    assert.deepEqual(await read(store, key), bytes)
    assert.equal(await store.put(key, { bytes: other }, { ...optionsFor(other), ...rebuildable }, never), 'created')
    assert.deepEqual(await read(store, key), other)
    const damaged = { ...optionsFor(bytes), ...rebuildable, md5: optionsFor(other).md5 }
    await assert.rejects(store.put(key, { bytes }, damaged, never), { code: 'store_unavailable' })
    assert.deepEqual(await read(store, key), other)
  })

  test(`${name}: of eight who create a key at once exactly one does, and its bytes stay`, async (t) => {
    const store = await make(t)
    const key = shardedKey('originals')
    const rivals = Array.from({ length: 8 }, (_, index) => Buffer.from(`bytes of rival ${index}`))
    const outcomes = await Promise.all(
      rivals.map((rival) => store.put(key, { bytes: rival }, optionsFor(rival), never)),
    )
    assert.equal(outcomes.filter((outcome) => outcome === 'created').length, 1)
    assert.deepEqual(await read(store, key), rivals[outcomes.indexOf('created')])
  })

  test(`${name}: bytes that do not have the MD5 announced are refused`, async (t) => {
    const store = await make(t)
    const key = shardedKey('originals')
    const options = { ...optionsFor(bytes), md5: md5(Buffer.from('other bytes')) }
    await assert.rejects(store.put(key, { bytes }, options, never), unavailable)
    assert.equal(await store.stat(key, never), undefined)
  })

  test(`${name}: an absent key is neither opened nor described, and its removal succeeds`, async (t) => {
    const store = await make(t)
    const key = shardedKey('originals')
    assert.equal(await store.open(key, never), undefined)
    assert.equal(await store.stat(key, never), undefined)
    await store.remove(key, never)
  })

  test(`${name}: a removed key is gone, and can be created again`, async (t) => {
    const store = await make(t)
    const key = shardedKey('originals')
    await store.put(key, { bytes }, optionsFor(bytes), never)
    await store.remove(key, never)
    await store.remove(key, never)
    assert.equal(await store.open(key, never), undefined)
    assert.deepEqual(await allOf(store.list('', '', never)), [])
    assert.equal(await store.put(key, { bytes }, optionsFor(bytes), never), 'created')
  })

  test(`${name}: keys are listed in bytewise order, by prefix, after a key`, async (t) => {
    const store = await make(t)
    const invalidations = ['001-ab', '002-ab', '002-cd', '010-00'].map((end) => `invalidations/${end}`)
    const originals = ['originals/00/ff/00ff', 'originals/3f/2a/3f2a', 'originals/3f/2b/3f2b']
    for (const key of [...originals, ...invalidations].toReversed()) {
      await store.put(key, { bytes }, optionsFor(bytes), never)
    }
    const list = (prefix: string, after: string): Promise<string[]> => allOf(store.list(prefix, after, never))
    assert.deepEqual(await list('', ''), [...invalidations, ...originals])
    assert.deepEqual(await list('invalidations/', ''), invalidations)
    assert.deepEqual(await list('invalidations/', 'invalidations/002'), invalidations.slice(1))
    assert.deepEqual(await list('invalidations/', 'invalidations/002-ab'), invalidations.slice(2))
    assert.deepEqual(await list('invalidations/', 'invalidations/011'), [])
    assert.deepEqual(await list('originals/3f', ''), originals.slice(1))
    assert.deepEqual(await list('originals/3f/2', 'originals/3f/2a/3f2a'), originals.slice(2))
    assert.deepEqual(await list('', 'invalidations/9'), originals)
    assert.deepEqual(await list('nothing/', ''), [])
  })

  test(`${name}: a list of objects has the size and the time of each`, async (t) => {
    const store = await make(t)
    const keys = ['remotes/3f/2a/r1/pointer.json', 'remotes/3f/2a/r1/v1', 'remotes/3f/2b/r2/v2']
    for (const [index, key] of keys.entries()) {
      const content = Buffer.alloc(index * 1000)
      await store.put(key, { bytes: content }, optionsFor(content), never)
    }
    const listed = await allOf(store.listObjects('remotes/3f/', '', never))
    assert.deepEqual(
      listed.map(({ key, sizeBytes }) => [key, sizeBytes]),
      keys.map((key, index) => [key, index * 1000]),
    )
    for (const { key, modifiedAt } of listed) {
      assert.ok(Math.abs(Date.now() - modifiedAt.getTime()) < 60_000)
      // Stores round in different ways: one lists milliseconds and has seconds in its headers.
      const stat = await store.stat(key, never)
      assert.ok(Math.abs(Number(stat?.modifiedAt) - modifiedAt.getTime()) <= 1000)
    }
    assert.deepEqual(
      (await allOf(store.listObjects('remotes/', keys[1] ?? '', never))).map(({ key }) => key),
      keys.slice(2),
    )
    assert.deepEqual(await allOf(store.listObjects('nothing/', '', never)), [])
  })

  test(`${name}: a list of more than a page is complete`, async (t) => {
    const store = await make(t)
    const flat = Array.from({ length: 600 }, (_, index) => `invalidations/${String(index).padStart(15, '0')}-ab`)
    const keys = [...flat, ...Array.from({ length: 600 }, () => shardedKey('originals')).toSorted()]
    await inBatches(keys, (key) => store.put(key, { bytes }, optionsFor(bytes), never))
    assert.deepEqual(await allOf(store.list('', '', never)), keys)
    assert.deepEqual(
      (await allOf(store.listObjects('', '', never))).map(({ key }) => key),
      keys,
    )
  })

  test(`${name}: calls by somebody who has gone end with the reason`, async (t) => {
    const store = await make(t)
    const key = shardedKey('originals')
    const reason = new Error('the client has gone')
    const gone = AbortSignal.abort(reason)
    const thrown = (error: unknown): boolean => error === reason
    await assert.rejects(store.open(key, gone), thrown)
    await assert.rejects(store.stat(key, gone), thrown)
    await assert.rejects(store.put(key, { bytes }, optionsFor(bytes), gone), thrown)
    await assert.rejects(store.remove(key, gone), thrown)
    await assert.rejects(allOf(store.list('', '', gone)), thrown)
    await assert.rejects(allOf(store.listObjects('', '', gone)), thrown)
    await assert.rejects(store.check(gone), thrown)
    assert.equal(await store.stat(key, never), undefined)
  })

  test(`${name}: a body ends with the reason when its reader has gone`, async (t) => {
    const store = await make(t)
    const key = shardedKey('originals')
    const large = randomBytes(4 * 1024 * 1024)
    await store.put(key, { bytes: large }, optionsFor(large), never)
    const client = new AbortController()
    const reason = new Error('the client has gone')
    const opened = await store.open(key, client.signal)
    assert.ok(opened)
    const reading = buffer(opened.body)
    client.abort(reason)
    await assert.rejects(reading, (error) => error === reason)
  })

  test(`${name}: bodies that nobody reads do not stop others once they are destroyed`, async (t) => {
    const store = await make(t)
    const key = shardedKey('originals')
    await store.put(key, { bytes }, optionsFor(bytes), never)
    for (let index = 0; index < 100; index += 1) (await store.open(key, never))?.body.destroy()
    assert.deepEqual(await read(store, key), bytes)
  })

  test(`${name}: a store that works passes its check`, async (t) => {
    const store = await make(t)
    await store.check(never)
  })

  test(`${name}: a store that may be written says so, and nothing is left of the question`, async (t) => {
    const store = await make(t)
    assert.equal(await store.mayWrite(never), true)
    assert.equal(await store.mayWrite(never), true)
    assert.deepEqual(await allOf(store.list('', '', never)), [])
  })
}

const NO_BUCKET = 'The bucket does not exist in the object store: create it, or correct STORE'
const REFUSED =
  'The object store rejects the credentials: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and the policy of their user'

test('s3: a missing bucket is an outage and never an absent key', async (t) => {
  const settings = { ...(await newBucket()), bucket: `test-missing-${randomUUID()}` }
  const store = createS3Store(settings)
  t.after(() => store.close())
  const key = shardedKey('originals')
  const noBucket = (error: unknown): boolean =>
    unavailable(error) && error instanceof Error && error.message === NO_BUCKET
  await assert.rejects(store.check(never), noBucket)
  await assert.rejects(store.open(key, never), noBucket)
  await assert.rejects(store.stat(key, never), noBucket)
  await assert.rejects(allOf(store.list('', '', never)), noBucket)
  await assert.rejects(allOf(store.listObjects('', '', never)), noBucket)
})

for (const wrong of ['accessKeyId', 'secretAccessKey'] as const) {
  test(`s3: a wrong ${wrong} is an outage and never an absent key, and no message tells it`, async (t) => {
    const { credentials, ...settings } = await newBucket()
    assert.ok(credentials)
    const store = createS3Store({ ...settings, credentials: { ...credentials, [wrong]: 'WRONGWRONGWRONG12345' } })
    t.after(() => store.close())
    const key = shardedKey('originals')
    const bytes = Buffer.from('bytes')
    const refused = (error: unknown): boolean => {
      assert.ok(unavailable(error) && error instanceof Error)
      assert.equal(error.message, REFUSED)
      const cause = String(error.cause)
      assert.ok(!cause.includes('WRONG') && !cause.includes(credentials.accessKeyId), cause)
      return true
    }
    await assert.rejects(store.check(never), refused)
    await assert.rejects(store.open(key, never), refused)
    await assert.rejects(store.stat(key, never), refused)
    await assert.rejects(store.put(key, { bytes }, optionsFor(bytes), never), refused)
    await assert.rejects(store.remove(key, never), refused)
    assert.equal(await store.mayWrite(never), false)
  })
}

async function inBatches(keys: readonly string[], action: (key: string) => Promise<unknown>): Promise<void> {
  for (let index = 0; index < keys.length; index += 50) await Promise.all(keys.slice(index, index + 50).map(action))
}

function unavailable(error: unknown): boolean {
  return error instanceof UnavailableError && error.code === 'store_unavailable'
}

function shardedKey(kind: string, extension = ''): string {
  const id = randomBytes(20).toString('hex')
  return `${kind}/${id.slice(0, 2)}/${id.slice(2, 4)}/${id}${extension}`
}

function optionsFor(bytes: Buffer): PutOptions & { readonly md5: string } {
  return { contentType: 'application/octet-stream', sizeBytes: bytes.length, md5: md5(bytes) }
}

function md5(bytes: Buffer): string {
  return createHash('md5').update(bytes).digest('hex')
}

async function fileMd5(path: string): Promise<string> {
  const hash = createHash('md5')
  for await (const chunk of bytesOf(createReadStream(path))) hash.update(chunk)
  return hash.digest('hex')
}

function bytesOf(stream: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  return stream
}

async function allOf<T>(values: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const value of values) all.push(value)
  return all
}

async function read(store: ObjectStore, key: string): Promise<Buffer> {
  const opened = await store.open(key, never)
  assert.ok(opened, `no ${key}`)
  return buffer(opened.body)
}

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-store-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/**
 * The most that buffers in use grow by from now on, looked at every 50 ms; on a busy machine less often, where looking would
 * take all of the time.
 */
function watchBuffers(t: TestContext): { peakBytes(): number } {
  const inUse = (): number => {
    collectGarbage()
    return process.memoryUsage().arrayBuffers
  }
  const before = inUse()
  let peak = 0
  let timer = setTimeout(look, 50)
  function look(): void {
    const began = performance.now()
    peak = Math.max(peak, inUse() - before)
    timer = setTimeout(look, Math.max(50, 4 * (performance.now() - began)))
  }
  t.after(() => clearTimeout(timer))
  return { peakBytes: () => peak }
}
