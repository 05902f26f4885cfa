import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createDiskWriter } from '../../src/adapters/cache/disk-writer.ts'
import { createGroupWriter } from '../../src/adapters/cache/group-writer.ts'
import { syncFileSystem } from '../../src/adapters/cache/sync-file-system.ts'

/** Files that are published one by one. */
const ALONE = 8
const MANY = 40

async function createStage(t: TestContext, sync: () => Promise<boolean>) {
  const root = await mkdtemp(join(tmpdir(), 'darkroom-test-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  const folder = join(root, 'folder')
  let syncs = 0
  const groups = createGroupWriter({
    writer: createDiskWriter(),
    sync() {
      syncs += 1
      return sync()
    },
    // It stands still, so no file may be published by itself after the first ones.
    now: () => 0,
  })
  const publish = (name: string, bytes = Buffer.from(name), into = folder) =>
    groups.publish({ temporary: join(root, 'tmp'), folder: into, name, bytes, mtimeSeconds: 1_600_000_000 })
  const publishMany = (count = MANY) => Array.from({ length: count }, (_, at) => publish(`${at}`))
  return { root, folder, groups, publish, publishMany, syncs: () => syncs }
}

test('Of many files all but the first wait for one sync of the file system, and have no name before it ends', async (t) => {
  const begun = Promise.withResolvers<void>()
  const synced = Promise.withResolvers<boolean>()
  const { root, folder, groups, publishMany, publish, syncs } = await createStage(t, () => {
    begun.resolve()
    return synced.promise
  })
  assert.equal(groups.isBusy, false)
  const publishing = publishMany()
  assert.equal(groups.isBusy, true)
  await Promise.all([begun.promise, ...publishing.slice(0, ALONE)])
  const later = publish('later')
  assert.equal((await readdir(folder)).length, ALONE)
  assert.equal((await readdir(join(root, 'tmp'))).length, MANY - ALONE)
  synced.resolve(true)
  await Promise.all(publishing)
  for (const name of Array.from({ length: MANY }, (_, at) => `${at}`)) {
    assert.equal(await readFile(join(folder, name), 'utf8'), name)
  }
  await groups.flush()
  await later
  assert.equal(await readFile(join(folder, 'later'), 'utf8'), 'later')
  assert.deepEqual(await readdir(join(root, 'tmp')), [])
  assert.equal(syncs(), 1, 'a single file is synced by itself')
})

test('Without a sync of the file system, every file of a group is published all the same', async (t) => {
  const { folder, publishMany, syncs } = await createStage(t, async () => false)
  await Promise.all(publishMany())
  assert.equal((await readdir(folder)).length, MANY)
  assert.equal(syncs(), 1)
})

test('A file that the disk refuses fails by itself, and leaves nothing behind', async (t) => {
  const { root, folder, publish, publishMany } = await createStage(t, async () => true)
  await mkdir(folder)
  await writeFile(join(root, 'no-folder'), '')
  const publishing = publishMany()
  const refused = publish('refused', Buffer.from('x'), join(root, 'no-folder'))
  await assert.rejects(refused, { code: 'ENOTDIR' })
  await Promise.all(publishing)
  assert.equal((await readdir(folder)).length, MANY)
  assert.deepEqual(await readdir(join(root, 'tmp')), [])
})

test('The newest file of a name stays, whether it waited or not', async (t) => {
  const { folder, groups, publish, publishMany } = await createStage(t, async () => true)
  const publishing = [...publishMany(), publish('same', Buffer.from('older')), publish('same', Buffer.from('newer'))]
  await Promise.all(publishing)
  assert.equal(await readFile(join(folder, 'same'), 'utf8'), 'newer')
  const last = publish('same', Buffer.from('newest'))
  await groups.flush()
  await last
  assert.equal(await readFile(join(folder, 'same'), 'utf8'), 'newest')
})

test('While many bytes wait, callers are told to wait for the disk', async (t) => {
  const synced = Promise.withResolvers<boolean>()
  const { groups, publish, publishMany } = await createStage(t, () => synced.promise)
  const publishing = publishMany()
  assert.equal(groups.isBusy, true)
  const large = publish('large', Buffer.alloc(20_000_000))
  assert.equal(groups.isBusy, false)
  synced.resolve(true)
  await groups.flush()
  await Promise.all([...publishing, large])
  assert.equal(groups.isBusy, true, 'the allowance of single files is used up')
})

test('The file system of a folder is synced by the command of the system', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'darkroom-test-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  assert.equal(await syncFileSystem(root), true)
  assert.equal(await syncFileSystem(join(root, 'missing')), false)
})
