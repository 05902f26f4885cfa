import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { createDiskSpool } from '../../src/adapters/cache/disk-spool.ts'

const never = new AbortController().signal
const BYTES = randomBytes(200_000)

async function createStage(t: TestContext) {
  const cacheDir = await mkdtemp(join(tmpdir(), 'darkroom-test-'))
  t.after(() => rm(cacheDir, { recursive: true, force: true }))
  const troubles: unknown[] = []
  const spool = createDiskSpool({ cacheDir, maxMemoryBytes: 300_000, onTrouble: (error) => void troubles.push(error) })
  const temporary = () => readdir(join(cacheDir, 'tmp')).catch(() => [])
  return { cacheDir, spool, troubles, temporary }
}

/** The bytes in parts, as they come from a socket; `end` says what comes after them. */
function body(end?: (stream: Readable) => void): Readable {
  let at = 0
  return new Readable({
    read() {
      if (at >= BYTES.length) {
        if (end) end(this)
        else this.push(null)
        return
      }
      this.push(BYTES.subarray(at, at + 50_000))
      at += 50_000
    },
  })
}
const hash = (algorithm: string) => createHash(algorithm).update(BYTES).digest('hex')
const within = (maxBytes: number) => ({ maxBytes, hashes: ['sha256', 'md5'] }) as const
const WAYS = ['toDisk', 'toMemory'] as const

for (const way of WAYS) {
  test(`${way}: bytes are taken in and hashed as they come`, async (t) => {
    const { spool, temporary } = await createStage(t)
    const { source, sizeBytes, sha256, md5, discard } = await spool[way](body(), within(BYTES.length), never)
    assert.deepEqual('path' in source ? await readFile(source.path) : source.bytes, BYTES)
    assert.deepEqual({ sizeBytes, sha256, md5 }, { sizeBytes: BYTES.length, sha256: hash('sha256'), md5: hash('md5') })
    for (let times = 0; times < 2; times += 1) await discard()
    assert.deepEqual(await temporary(), [])
  })

  test(`${way}: one byte too many ends it, and leaves nothing`, async (t) => {
    const { spool, temporary } = await createStage(t)
    const stream = body()
    const taking = spool[way](stream, within(BYTES.length - 1), never)
    await assert.rejects(taking, { name: 'OriginalError', code: 'original_too_large' })
    assert.ok(stream.destroyed)
    assert.deepEqual(await temporary(), [])
  })

  test(`${way}: a stream that fails does so with its own reason, and leaves nothing`, async (t) => {
    const { spool, temporary } = await createStage(t)
    const stream = body((broken) => broken.destroy(new Error('the line broke')))
    await assert.rejects(spool[way](stream, within(1_000_000), never), { message: 'the line broke' })
    assert.deepEqual(await temporary(), [])
  })

  test(`${way}: one who gives up frees what was taken in`, async (t) => {
    const { spool, temporary } = await createStage(t)
    const controller = new AbortController()
    const stream = body(() => controller.abort(new Error('gave up')))
    await assert.rejects(spool[way](stream, within(1_000_000), controller.signal), { message: 'gave up' })
    assert.ok(stream.destroyed)
    assert.deepEqual(await temporary(), [])
  })
}

test('A hash that was not requested is empty', async (t) => {
  const { spool } = await createStage(t)
  const { sha256, md5, discard } = await spool.toDisk(body(), { maxBytes: BYTES.length, hashes: ['sha256'] }, never)
  assert.deepEqual({ sha256, md5 }, { sha256: hash('sha256'), md5: '' })
  await discard()
})

test('Many large bodies at once, in parts of any size, are written whole', async (t) => {
  const { spool, temporary } = await createStage(t)
  const large = randomBytes(2_500_000)
  const parts = () => {
    const cut = [1, 70_000, 70_001, 1_400_000, 1_400_000, large.length]
    return Readable.from(cut.map((end, index) => large.subarray(cut[index - 1] ?? 0, end)))
  }
  const all = Array.from({ length: 24 }, () => spool.toDisk(parts(), within(large.length), never))
  for (const { source, discard } of await Promise.all(all)) {
    assert.ok('path' in source)
    assert.deepEqual(await readFile(source.path), large)
    await discard()
  }
  assert.deepEqual(await temporary(), [])
})

test('An empty body is an empty file', async (t) => {
  const { spool } = await createStage(t)
  const { source, sizeBytes } = await spool.toDisk(Readable.from([]), within(1), never)
  assert.ok('path' in source)
  assert.deepEqual([sizeBytes, (await readFile(source.path)).length], [0, 0])
})

test('A body that ends in the middle leaves no file, at whichever byte', async (t) => {
  const { spool, temporary } = await createStage(t)
  for (const wholeParts of [0, 1, 20, 40]) {
    const parts = async function* () {
      for (let part = 0; part < wholeParts; part += 1) yield BYTES.subarray(0, 60_000)
      throw new Error('the line broke')
    }
    await assert.rejects(spool.toDisk(Readable.from(parts()), within(5_000_000), never), { message: 'the line broke' })
    assert.deepEqual(await temporary(), [])
  }
})

test('A disk that takes nothing is unavailable and told of, and ends the stream', async (t) => {
  const { cacheDir, spool, troubles } = await createStage(t)
  await writeFile(join(cacheDir, 'tmp'), '')
  const stream = body()
  const taking = spool.toDisk(stream, within(1_000_000), never)
  await assert.rejects(taking, { name: 'UnavailableError', code: 'disk_unavailable' })
  assert.ok(stream.destroyed)
  assert.ok(troubles.length > 0)
})

test('Memory is bounded over all that is held, and free again once that is discarded or has failed', async (t) => {
  const { spool } = await createStage(t)
  const first = await spool.toMemory(body(), within(1_000_000), never)
  for (let times = 0; times < 3; times += 1) {
    const taking = spool.toMemory(body(), within(1_000_000), never)
    await assert.rejects(taking, { name: 'UnavailableError', code: 'overloaded' })
  }
  await first.discard()
  await first.discard()
  const second = await spool.toMemory(body(), within(1_000_000), never)
  await assert.rejects(spool.toMemory(body(), within(1_000_000), never), { code: 'overloaded' })
  await second.discard()
})
