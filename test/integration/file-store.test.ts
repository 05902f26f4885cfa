import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { createFileStore, removeOrphans } from '../../src/adapters/file-store/file-store.ts'
import type { PutOptions } from '../../src/service/ports/store.ts'

const never = new AbortController().signal
const BYTES = Buffer.from('the bytes of an object')
const OPTIONS = {
  contentType: 'application/octet-stream',
  sizeBytes: BYTES.length,
  md5: createHash('md5').update(BYTES).digest('hex'),
} as const satisfies PutOptions

test('an object is a file under its key, readable by its owner and group, with nothing left beside it', async (t) => {
  const root = await temporaryFolder(t)
  const store = createFileStore(root)
  await store.put('originals/3f/2a/3f2a', { bytes: BYTES }, OPTIONS, never)
  assert.equal((await stat(join(root, 'originals/3f/2a/3f2a'))).mode & 0o777, 0o640)
  assert.equal((await stat(join(root, 'originals/3f/2a'))).mode & 0o777, 0o750)
  assert.deepEqual(await readdir(join(root, 'tmp')), [])
})

test('a put that fails leaves nothing behind', async (t) => {
  const root = await temporaryFolder(t)
  const store = createFileStore(root)
  const put = store.put('originals/3f/2a/3f2a', { bytes: BYTES }, { ...OPTIONS, sizeBytes: 1 }, never)
  await assert.rejects(put, { code: 'store_unavailable' })
  const missing = store.put('originals/3f/2a/3f2a', { path: join(root, 'missing') }, OPTIONS, never)
  await assert.rejects(missing, { code: 'store_unavailable' })
  assert.deepEqual(await readdir(root, { recursive: true }), ['tmp'])
})

test('a file that is never written to again is kept itself, with nothing left beside it', async (t) => {
  const root = await temporaryFolder(t)
  const path = join(await temporaryFolder(t), 'file')
  await writeFile(path, BYTES, { mode: 0o640 })
  const store = createFileStore(root)
  const { md5: _, ...options } = { ...OPTIONS, overwrite: true, mayLink: true }
  for (const rebuildable of [true, false]) {
    assert.equal(await store.put('remotes/3f/2a/3f2a', { path }, { ...options, rebuildable }, never), 'created')
    assert.equal((await stat(join(root, 'remotes/3f/2a/3f2a'))).ino, (await stat(path)).ino)
  }
  assert.equal(await store.put('remotes/3f/2a/3f2a', { path }, { ...options, overwrite: false }, never), 'exists')
  await rm(path)
  assert.deepEqual((await store.open('remotes/3f/2a/3f2a', never))?.bytes, BYTES)
  assert.deepEqual(await readdir(join(root, 'tmp')), [])
  const missing = store.put('remotes/3f/2a/3f2b', { path }, options, never)
  await assert.rejects(missing, { code: 'store_unavailable' })
})

test('a file of another file system is copied, and its length is verified', async (t) => {
  const root = await temporaryFolder(t)
  const elsewhere = await mkdtemp('/dev/shm/darkroom-')
  t.after(() => rm(elsewhere, { recursive: true }))
  assert.notEqual((await stat(elsewhere)).dev, (await stat(root)).dev)
  const path = join(elsewhere, 'file')
  await writeFile(path, BYTES)
  const store = createFileStore(root)
  const { md5: _, ...options } = { ...OPTIONS, overwrite: true, mayLink: true }
  assert.equal(await store.put('remotes/3f/2a/3f2a', { path }, options, never), 'created')
  assert.deepEqual((await store.open('remotes/3f/2a/3f2a', never))?.bytes, BYTES)
  const cut = store.put('remotes/3f/2a/3f2b', { path }, { ...options, sizeBytes: BYTES.length + 1 }, never)
  await assert.rejects(cut, { code: 'store_unavailable' })
  assert.deepEqual(await readdir(join(root, 'tmp')), [])
})

test('a file of several parts is stored whole, and refused without the SHA-256 announced', async (t) => {
  const root = await temporaryFolder(t)
  const store = createFileStore(root)
  const path = join(await temporaryFolder(t), 'upload')
  const bytes = randomBytes(2_500_000)
  await writeFile(path, bytes)
  const hash = (name: string) => createHash(name).update(bytes).digest('hex')
  const options = { contentType: 'image/jpeg', sizeBytes: bytes.length, md5: hash('md5'), sha256: hash('sha256') }
  assert.equal(await store.put('originals/3f/2a/3f2a', { path }, options, never), 'created')
  assert.ok(bytes.equals(await readFile(join(root, 'originals/3f/2a/3f2a'))))
  const others = [
    { ...options, sha256: hash('sha512').slice(0, 64) },
    { ...options, sizeBytes: bytes.length - 1 },
  ]
  for (const other of others) {
    await assert.rejects(store.put('originals/3f/2a/other', { path }, other, never), { code: 'store_unavailable' })
  }
  bytes.writeUInt8(bytes.readUInt8(2_000_000) ^ 1, 2_000_000)
  await writeFile(path, bytes)
  await assert.rejects(store.put('originals/3f/2a/other', { path }, options, never), { code: 'store_unavailable' })
  assert.deepEqual(await readdir(join(root, 'originals/3f/2a')), ['3f2a'])
})

test('a removed object leaves no empty folders, and no folder in use goes', async (t) => {
  const root = await temporaryFolder(t)
  const store = createFileStore(root)
  for (const key of ['originals/3f/2a/3f2a', 'originals/3f/2b/3f2b']) {
    await store.put(key, { bytes: BYTES }, OPTIONS, never)
  }
  await store.remove('originals/3f/2a/3f2a', never)
  assert.deepEqual(await readdir(join(root, 'originals/3f')), ['2b'])
  await store.remove('originals/3f/2b/3f2b', never)
  assert.deepEqual(await readdir(root), ['tmp'])
})

test('writing and removing in one folder at once, by two stores on one root, loses no object and fails nobody', async (t) => {
  const root = await temporaryFolder(t)
  const [writer, remover] = [createFileStore(root), createFileStore(root)]
  const keys = Array.from({ length: 100 }, (_, index) => `originals/3f/2a/${index}`)
  await Promise.all(
    keys.map(async (key) => {
      await writer.put(key, { bytes: BYTES }, OPTIONS, never)
      await remover.remove(key, never)
      assert.equal(await writer.put(key, { bytes: BYTES }, OPTIONS, never), 'created')
      const opened = await remover.open(key, never)
      assert.ok(opened)
      assert.deepEqual(await buffer(opened.body), BYTES)
      await writer.remove(key, never)
    }),
  )
  assert.deepEqual(await readdir(root), ['tmp'])
})

for (const key of ['../outside', 'a/../../outside', 'a//b', '/a', 'a/', '', '.', 'a/./b', 'a\0b', 'tmp/a', 'tmp']) {
  test(`${JSON.stringify(key)} is not taken for a key`, async (t) => {
    const store = createFileStore(await temporaryFolder(t))
    await assert.rejects(store.put(key, { bytes: BYTES }, OPTIONS, never), RangeError)
    await assert.rejects(store.open(key, never), RangeError)
    await assert.rejects(store.stat(key, never), RangeError)
    await assert.rejects(store.remove(key, never), RangeError)
  })
}

test('a list does not lead out of the root, nor into what is being written', async (t) => {
  const store = createFileStore(await temporaryFolder(t))
  for (const prefix of ['../', 'a/../../', 'tmp/', '/']) {
    await assert.rejects(async () => {
      for await (const key of store.list(prefix, '', never)) assert.fail(key)
    }, RangeError)
  }
})

test('a root that is gone is an outage, and never an empty store', async (t) => {
  const folder = await temporaryFolder(t)
  const root = join(folder, 'mounted')
  const store = createFileStore(root)
  await store.put('originals/3f/2a/3f2a', { bytes: BYTES }, OPTIONS, never)
  await rename(root, join(folder, 'elsewhere'))
  const outage = { code: 'store_unavailable', message: "The store's disk failed" }
  await assert.rejects(store.open('originals/3f/2a/3f2a', never), outage)
  await assert.rejects(store.stat('originals/3f/2a/3f2a', never), outage)
  await assert.rejects(store.put('originals/3f/2a/3f2a', { bytes: BYTES }, OPTIONS, never), outage)
  await assert.rejects(store.remove('originals/3f/2a/3f2a', never), outage)
  await assert.rejects(store.check(never), outage)
  await assert.rejects(async () => {
    for await (const key of store.list('', '', never)) assert.fail(key)
  }, outage)
  assert.deepEqual(await readdir(folder), ['elsewhere'])
  await rename(join(folder, 'elsewhere'), root)
  await store.check(never)
  assert.equal((await store.stat('originals/3f/2a/3f2a', never))?.sizeBytes, BYTES.length)
})

test('only files that have been aside for an hour count as orphans', async (t) => {
  const root = await temporaryFolder(t)
  createFileStore(root)
  const now = Date.now()
  for (const [name, ageMinutes] of Object.entries({ old: 61, young: 59, new: 0 })) {
    await writeFile(join(root, 'tmp', name), BYTES)
    const time = new Date(now - ageMinutes * 60_000)
    await utimes(join(root, 'tmp', name), time, time)
  }
  await removeOrphans(root, now)
  assert.deepEqual((await readdir(join(root, 'tmp'))).toSorted(), ['new', 'young'])
})

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-files-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}
