import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, rename, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { createQuarantine } from '../../src/adapters/spool/quarantine.ts'
import { createSpoolFolder, type LocalFile } from '../../src/adapters/spool/spool-folder.ts'
import { mountSmallDisk } from '../../tools/processes/small-disk.ts'
import { filesBelow } from '../../tools/requests/ask.ts'
import { temporaryFolder } from '../../tools/servers/site.ts'

async function setUp(t: TestContext) {
  const root = await temporaryFolder(t)
  const spool = createSpoolFolder({ root, staleMs: 60_000, onTrouble: unexpected, now: () => Date.now() })
  const all = async (): Promise<readonly LocalFile[]> => {
    const found: LocalFile[] = []
    for (const source of await spool.sources()) for await (const file of spool.files(source)) found.push(file)
    return found
  }
  const only = async () => {
    const [file, ...others] = await all()
    assert.ok(file !== undefined && others.length === 0)
    return file
  }
  return { root, spool, all, only }
}

function unexpected(path: string, error: unknown): never {
  throw new Error(path, { cause: error })
}

const rejection = { source: 'agency', code: 'original_broken', message: 'Broken', rejectedMs: 1_000_000 }
const unlimited = { maxBytes: 1e9, maxAgeMs: 1e9, now: () => 1_000_000 }

test('Files of all depths are found; links, hidden files and folders are not', async (t) => {
  const { root, all } = await setUp(t)
  await mkdir(join(root, 'a/b'), { recursive: true })
  await mkdir(join(root, '.quarantine'))
  for (const name of ['1', 'a/2', 'a/b/3', '.hidden', 'a/.in.4.17', '.quarantine/5']) {
    await writeFile(join(root, name), name)
  }
  await symlink('/etc/passwd', join(root, 'a/link'))
  await symlink('/etc', join(root, 'folder-link'))
  const found = await all()
  assert.deepEqual(
    found.map(({ path, sizeBytes }) => [path, sizeBytes]),
    [
      ['1', 1],
      ['a/2', 3],
      ['a/b/3', 5],
    ],
  )
})

test('A name that is not UTF-8 is read, removed and put into the quarantine like any other', async (t) => {
  const { root, spool, only } = await setUp(t)
  const name = Buffer.concat([Buffer.from(`${root}/agency/`), Buffer.from([0x66, 0xfc, 0x72, 0x2e, 0x6a])])
  await mkdir(join(root, 'agency'))
  await writeFile(name, 'latin')
  const file = await only()
  assert.equal(file.path, 'agency/f\u{fffd}r.j')
  const body = await spool.open(file)
  assert.ok(body)
  assert.equal(await text(body), 'latin')
  assert.equal(await spool.remove(file), true)
  await writeFile(name, 'again')
  const quarantine = await createQuarantine(join(root, '.quarantine'), unlimited)
  assert.equal(await quarantine.put(await only(), rejection), 'kept')
  const kept = await readdir(join(root, '.quarantine/agency'))
  assert.deepEqual(
    kept.map((kind) => kind.slice('19700101T001640Z-01234567-'.length)),
    ['f_r.j', 'f_r.j.json'],
  )
})

test('A file that was replaced since the look is neither read, nor removed, nor put into the quarantine', async (t) => {
  const { root, spool, only } = await setUp(t)
  const path = join(root, 'cat.jpg')
  await writeFile(path, 'first')
  const first = await only()
  await writeFile(join(root, '.aside'), 'other')
  await rename(join(root, '.aside'), path)
  assert.equal(await spool.open(first), undefined)
  assert.equal(await spool.remove(first), false)
  const quarantine = await createQuarantine(join(root, '.quarantine'), unlimited)
  assert.equal(await quarantine.put(first, rejection), 'changed')
  assert.equal(await readFile(path, 'utf8'), 'other')
  assert.deepEqual(await readdir(join(root, '.quarantine/agency')), [])
  assert.deepEqual((await readdir(root)).toSorted(), ['.quarantine', 'cat.jpg'])
})

test('A file that is gone is nothing to read or remove', async (t) => {
  const { root, spool, only } = await setUp(t)
  await writeFile(join(root, 'cat.jpg'), 'cat')
  const file = await only()
  assert.equal(await spool.remove(file), true)
  assert.equal(await spool.open(file), undefined)
  assert.equal(await spool.remove(file), false)
})

test('A renamed file is committed; one written in its place is not', async (t) => {
  const { root, only } = await setUp(t)
  const path = join(root, 'cat.jpg')
  await writeFile(path, 'cat')
  assert.equal((await only()).isCommitted, false)
  // Some time before the rename, which a tick of the kernel's clock may hide.
  await utimes(path, new Date(1000), new Date(1000))
  await rename(path, join(root, 'dog.jpg'))
  assert.equal((await only()).isCommitted, true)
})

test('Unfinished uploads are deleted when they are old', async (t) => {
  const { root, all } = await setUp(t)
  for (const name of ['.in.old.17', '.in.young.18', '.other']) await writeFile(join(root, name), 'x')
  const past = new Date(Date.now() - 61_000)
  for (const name of ['.in.old.17', '.other']) await utimes(join(root, name), past, past)
  assert.deepEqual(await all(), [])
  assert.deepEqual((await readdir(root)).toSorted(), ['.in.young.18', '.other'])
})

test('The watch tells of a file in a folder that it has scanned', async (t) => {
  const { root, spool, all } = await setUp(t)
  await mkdir(join(root, 'agency'))
  const { promise, resolve } = Promise.withResolvers<void>()
  const watching = spool.watch(resolve)
  t.after(() => watching.stop())
  await all()
  await writeFile(join(root, 'agency', 'cat.jpg'), 'cat')
  await promise
})

test('A quarantine on another file system receives a copy', async (t) => {
  const { root, only } = await setUp(t)
  const disk = await mountSmallDisk(t, 1)
  await writeFile(join(root, 'cat.jpg'), 'cat')
  const quarantine = await createQuarantine(join(disk.path, 'rejected'), unlimited)
  assert.equal(await quarantine.put(await only(), rejection), 'kept')
  assert.deepEqual(await readdir(root), [])
  const kept = await filesBelow(join(disk.path, 'rejected'))
  assert.equal(kept.length, 2)
  assert.equal(quarantine.use().files, 1)
  // The next process counts it.
  assert.deepEqual((await createQuarantine(join(disk.path, 'rejected'), unlimited)).use(), quarantine.use())
})

test('A quarantine that is full by the disk makes room for the reason of the next file', async (t) => {
  const disk = await mountSmallDisk(t, 1)
  const spool = createSpoolFolder({ root: disk.path, staleMs: 1, onTrouble: unexpected, now: () => Date.now() })
  const quarantine = await createQuarantine(join(disk.path, '.quarantine'), unlimited)
  const reject = async (name: string, bytes: number) => {
    await writeFile(join(disk.path, name), Buffer.alloc(bytes))
    for await (const file of spool.files('')) {
      if (file.path === 'filler') continue
      return async () => assert.equal(await quarantine.put(file, rejection), 'kept')
    }
    throw new Error(`${name} is not found`)
  }
  await (await reject('first.jpg', 100_000))()
  const putSecond = await reject('second.jpg', 10)
  await disk.fill('filler')
  await putSecond()
  assert.deepEqual(quarantine.use().files, 1)
})
