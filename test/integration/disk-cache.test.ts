import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { access, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { NotACacheError, prepareCacheDir } from '../../src/adapters/cache/cache-folder.ts'
import { createDiskCache } from '../../src/adapters/cache/disk-cache.ts'

const ID = '3f2a'.padEnd(40, '0')
const FOLDER = `renditions/image/3f/2a/${ID}`
const MTIME_SECONDS = 1_600_000_000
const BYTES = Buffer.from('a rendition')

async function createStage(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-test-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const cacheDir = join(folder, 'cache')
  await prepareCacheDir(cacheDir)
  const troubles: unknown[] = []
  const writes: number[] = []
  const cache = createDiskCache({
    cacheDir,
    mtimeSeconds: MTIME_SECONDS,
    onTrouble: (error) => void troubles.push(error),
    onWrite: (bytes) => void writes.push(bytes),
  })
  return { cacheDir, cache, troubles, writes, at: (path: string) => join(cacheDir, path) }
}

test('A published file is where nginx looks for it, readable by its group only, and of the pipeline’s time', async (t) => {
  const { cache, at, writes } = await createStage(t)
  await cache.publish(ID, '400w.webp', BYTES)
  const file = await stat(at(`${FOLDER}/400w.webp`))
  assert.equal(file.mtimeMs, MTIME_SECONDS * 1000)
  assert.equal(file.mode & 0o007, 0)
  assert.ok(Math.abs(file.atimeMs - Date.now()) < 60_000)
  assert.equal((await stat(at(FOLDER))).mode & 0o007, 0)
  assert.deepEqual(writes, [BYTES.length])
  assert.deepEqual(await readdir(at('tmp')), [])
})

test('An alias costs no bytes: it is a hard link, also where another file had its name', async (t) => {
  const { cache, at } = await createStage(t)
  await cache.publish(ID, '400w.auto-webp.webp', Buffer.from('of an older pipeline'))
  await cache.publish(ID, '400w.webp', BYTES)
  await cache.link(ID, '400w.webp', '400w.auto-webp.webp')
  const [file, alias] = await Promise.all(
    ['400w.webp', '400w.auto-webp.webp'].map((name) => stat(at(`${FOLDER}/${name}`))),
  )
  assert.equal(file?.ino, alias?.ino)
  assert.deepEqual(await readdir(at('tmp')), [])
})

test('Touching a file of another pipeline leaves its time, which its validators are made of', async (t) => {
  const { cache, at } = await createStage(t)
  await cache.publish(ID, '400w.webp', BYTES)
  const older = { file: '400w.webp', sizeBytes: BYTES.length, mtimeSeconds: MTIME_SECONDS - 5 }
  await cache.touch(ID, older)
  assert.equal((await stat(at(`${FOLDER}/400w.webp`))).mtimeMs, older.mtimeSeconds * 1000)
  assert.deepEqual(await cache.find(ID, ['400w.webp']), older)
})

test('An empty file, as a power cut can leave it, counts as absent', async (t) => {
  const { cache, at } = await createStage(t)
  await mkdir(at(FOLDER), { recursive: true })
  await writeFile(at(`${FOLDER}/400w.webp`), '')
  assert.equal(await cache.find(ID, ['400w.webp']), undefined)
  await mkdir(at('originals/image/3f/2a'), { recursive: true })
  await writeFile(at(`originals/image/3f/2a/${ID}`), '')
  assert.equal(await cache.findOriginal(ID), undefined)
})

test('Folders that are deleted while it runs are made again', async (t) => {
  const { cache, cacheDir, troubles } = await createStage(t)
  for (const path of [cacheDir, join(cacheDir, 'tmp'), join(cacheDir, 'renditions')]) {
    await cache.publish(ID, '400w.webp', BYTES)
    await rm(path, { recursive: true })
    assert.equal(await cache.publish(ID, '400w.webp', BYTES), true)
    assert.deepEqual(await cache.read(ID, '400w.webp'), BYTES)
  }
  assert.deepEqual(troubles, [])
})

test('Publishing and hiding at once leave whole files or none, and no temporary ones', async (t) => {
  const { cache, at, troubles } = await createStage(t)
  const large = randomBytes(100_000)
  const publishing = Array.from({ length: 60 }, (_, index) => cache.publish(ID, `${index}w.webp`, large))
  const hiding = Array.from({ length: 30 }, async () => {
    assert.deepEqual(await cache.hide([ID]), [])
  })
  await Promise.all([...publishing, ...hiding])
  for (const name of await readdir(at(FOLDER)).catch(() => [])) {
    assert.deepEqual(await readFile(at(`${FOLDER}/${name}`)), large)
  }
  assert.ok((await readdir(at('tmp'))).every((name) => name.startsWith('gone-')))
  assert.equal(await cache.publish(ID, '400w.webp', large), true)
  assert.deepEqual(troubles, [])
})

test('What the disk refuses is told, and is an absence to the caller', async (t) => {
  const { cache, at, troubles } = await createStage(t)
  for (const folder of ['renditions', 'originals', 'tmp']) {
    await rm(at(folder), { recursive: true })
    // A file where a folder should be is refused to root as well.
    await writeFile(at(folder), '')
  }
  assert.equal(await cache.publish(ID, '400w.webp', BYTES), false)
  assert.equal(await cache.find(ID, ['400w.webp']), undefined)
  assert.equal(await cache.read(ID, '400w.webp'), undefined)
  assert.equal(await cache.link(ID, '400w.webp', 'alias.webp'), false)
  assert.equal(await cache.adoptOriginal(ID, at('spooled')), undefined)
  await cache.writeNote('note', 'text')
  assert.equal(await cache.readNote('note'), undefined)
  assert.ok(troubles.length > 0)
})

test('What the disk does not let be hidden is named', async (t) => {
  const { cache, at } = await createStage(t)
  await cache.publish(ID, '400w.webp', BYTES)
  await rm(at('tmp'), { recursive: true })
  await writeFile(at('tmp'), '')
  assert.deepEqual(await cache.hide([ID]), [ID])
  assert.equal(await cache.hideAll(), false)
  await rm(at('tmp'))
  assert.deepEqual(await cache.hide([ID]), [])
  assert.equal(await cache.find(ID, ['400w.webp']), undefined)
})

test('A folder that holds something else is not made a cache', async (t) => {
  const { cacheDir, at } = await createStage(t)
  await prepareCacheDir(cacheDir)
  await writeFile(at('holiday.jpg'), 'x')
  await prepareCacheDir(cacheDir)
  await rm(at('.darkroom-cache'))
  await assert.rejects(prepareCacheDir(cacheDir), NotACacheError)
  await rm(at('holiday.jpg'))
  await prepareCacheDir(cacheDir)
  await access(at('.darkroom-cache'))
})
