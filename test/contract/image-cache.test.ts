import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { createDiskCache } from '../../src/adapters/cache/disk-cache.ts'
import type { ImageCache } from '../../src/service/ports/cache.ts'
import { createMemoryCache, createMemoryDisk } from '../support/memory-cache.ts'

const ID = '3f2a'.padEnd(40, '0')
const OTHER = '3f2b'.padEnd(40, '0')
const MTIME_SECONDS = 1_600_000_000
const BYTES = Buffer.from('a rendition of some bytes')

interface Stage {
  readonly cache: ImageCache
  /** Makes a spooled file that can be adopted. @returns its path. */
  spool(bytes: Buffer): Promise<string>
}

imageCacheContract('memory', async () => {
  const disk = createMemoryDisk()
  return {
    cache: createMemoryCache(disk, MTIME_SECONDS),
    async spool(bytes) {
      disk.files.set('tmp/spooled', bytes)
      return 'tmp/spooled'
    },
  }
})

imageCacheContract('disk', async (t) => {
  const cacheDir = await mkdtemp(join(tmpdir(), 'darkroom-test-'))
  // The thread that writes keeps its compiled code there.
  t.after(() => rm(cacheDir, { recursive: true, force: true, maxRetries: 5 }))
  return {
    cache: createDiskCache({
      cacheDir,
      mtimeSeconds: MTIME_SECONDS,
      onTrouble: (error) => assert.fail(String(error)),
      onWrite: () => {},
    }),
    async spool(bytes) {
      await mkdir(join(cacheDir, 'tmp'), { recursive: true })
      const path = join(cacheDir, 'tmp', 'spooled')
      await writeFile(path, bytes)
      return path
    },
  }
})

/** What every `ImageCache` promises. `make` gives an empty cache whose folders are yet to be made. */
function imageCacheContract(name: string, make: (t: TestContext) => Promise<Stage>): void {
  const found = (file: string) => ({ file, sizeBytes: BYTES.length, mtimeSeconds: MTIME_SECONDS })

  test(`${name}: an image is known by any of its files`, async (t) => {
    const { cache, spool } = await make(t)
    assert.equal(await cache.has(ID), false)
    await cache.publish(ID, '400w.webp', BYTES)
    assert.deepEqual([await cache.has(ID), await cache.has(OTHER)], [true, false])
    await cache.adoptOriginal(OTHER, await spool(BYTES))
    assert.equal(await cache.has(OTHER), true)
    await cache.hide([ID, OTHER])
    assert.deepEqual([await cache.has(ID), await cache.has(OTHER)], [false, false])
    await cache.publishMezzanine(ID, 768, BYTES)
    assert.equal(await cache.has(ID), true)
  })

  test(`${name}: what was published is found and read back`, async (t) => {
    const { cache } = await make(t)
    assert.equal(await cache.publish(ID, '400w.webp', BYTES), true)
    assert.deepEqual(await cache.find(ID, ['400w.webp']), found('400w.webp'))
    assert.deepEqual(await cache.read(ID, '400w.webp'), BYTES)
    assert.deepEqual(await readAll(cache.open(ID, '400w.webp')), BYTES)
    assert.deepEqual(await readAll(cache.open(ID, '400w.webp', { start: 2, end: 5 })), BYTES.subarray(2, 6))
  })

  test(`${name}: nothing is found in an empty cache`, async (t) => {
    const { cache } = await make(t)
    assert.equal(await cache.find(ID, ['400w.webp']), undefined)
    assert.equal(await cache.read(ID, '400w.webp'), undefined)
    assert.equal(await cache.open(ID, '400w.webp'), undefined)
    assert.equal(await cache.touch(ID, found('400w.webp')), false)
    assert.equal(await cache.link(ID, '400w.webp', 'alias.webp'), false)
    assert.equal(await cache.findOriginal(ID), undefined)
    assert.equal(await cache.openOriginal(ID, BYTES.length), undefined)
    assert.equal(await cache.readNote('note'), undefined)
    assert.deepEqual(await cache.hide([ID, OTHER]), [])
    assert.equal(await cache.hideAll(), true)
  })

  test(`${name}: the first of several names that is there is found`, async (t) => {
    const { cache } = await make(t)
    await cache.publish(ID, 'b.webp', BYTES)
    await cache.publish(ID, 'c.webp', BYTES)
    assert.deepEqual(await cache.find(ID, ['a.webp', 'b.webp', 'c.webp']), found('b.webp'))
    assert.equal(await cache.find(ID, []), undefined)
    assert.equal(await cache.find(OTHER, ['b.webp']), undefined)
  })

  test(`${name}: publishing again replaces, and an alias follows the newest`, async (t) => {
    const { cache } = await make(t)
    for (const text of ['old bytes', 'new bytes']) {
      await cache.publish(ID, '400w.webp', Buffer.from(text))
      for (let times = 0; times < 2; times += 1) assert.equal(await cache.link(ID, '400w.webp', 'auto.webp'), true)
      assert.equal((await cache.read(ID, 'auto.webp'))?.toString(), text)
    }
    assert.equal((await cache.read(ID, '400w.webp'))?.toString(), 'new bytes')
  })

  test(`${name}: touching changes nothing that can be seen`, async (t) => {
    const { cache } = await make(t)
    await cache.publish(ID, '400w.webp', BYTES)
    assert.equal(await cache.touch(ID, found('400w.webp')), true)
    assert.deepEqual(await cache.find(ID, ['400w.webp']), found('400w.webp'))
  })

  test(`${name}: an adopted original is found, and gone from where it was`, async (t) => {
    const { cache, spool } = await make(t)
    const path = await spool(BYTES)
    const adopted = await cache.adoptOriginal(ID, path)
    assert.ok(adopted !== undefined && adopted !== path)
    assert.equal(await cache.findOriginal(ID), adopted)
    assert.deepEqual(await readAll(cache.openOriginal(ID, BYTES.length)), BYTES)
    assert.deepEqual(await readAll(cache.openOriginal(ID, BYTES.length, { start: 1, end: 2 })), BYTES.subarray(1, 3))
    assert.equal(await cache.openOriginal(ID, BYTES.length + 1), undefined, 'it was cut')
    assert.equal(await cache.adoptOriginal(OTHER, path), undefined, 'it was moved')
    assert.equal(await cache.adoptOriginal(ID, await spool(BYTES)), adopted, 'again')
  })

  test(`${name}: hiding takes an image's renditions and original away, and leaves others`, async (t) => {
    const { cache, spool } = await make(t)
    for (const id of [ID, OTHER]) {
      await cache.publish(id, '400w.webp', BYTES)
      await cache.adoptOriginal(id, await spool(BYTES))
    }
    assert.deepEqual(await cache.hide([ID]), [])
    assert.equal(await cache.find(ID, ['400w.webp']), undefined)
    assert.equal(await cache.findOriginal(ID), undefined)
    assert.deepEqual(await cache.find(OTHER, ['400w.webp']), found('400w.webp'))
    assert.ok(await cache.findOriginal(OTHER))
    assert.equal(await cache.publish(ID, '400w.webp', BYTES), true, 'and it can come back')
  })

  test(`${name}: what was told of an original that may change stays until that is hidden`, async (t) => {
    const { cache } = await make(t)
    const [resource, other] = [`r${ID}`, `r${OTHER}`]
    assert.equal(await cache.readNotice(resource), undefined)
    for (const text of ['first', 'second']) await cache.writeNotice(resource, text)
    await cache.writeNotice(other, 'other')
    assert.equal(await cache.readNotice(resource), 'second')
    await cache.hide([resource])
    assert.deepEqual([await cache.readNotice(resource), await cache.readNotice(other)], [undefined, 'other'])
    await cache.hideAll()
    assert.equal(await cache.readNotice(other), undefined)
  })

  test(`${name}: hiding everything leaves the notes`, async (t) => {
    const { cache, spool } = await make(t)
    await cache.publish(ID, '400w.webp', BYTES)
    await cache.adoptOriginal(ID, await spool(BYTES))
    for (const text of ['first', 'second']) await cache.writeNote('note', text)
    assert.equal(await cache.hideAll(), true)
    assert.equal(await cache.find(ID, ['400w.webp']), undefined)
    assert.equal(await cache.findOriginal(ID), undefined)
    assert.equal(await cache.readNote('note'), 'second')
  })
}

async function readAll(opening: Promise<Readable | undefined>): Promise<Buffer | undefined> {
  const body = await opening
  return body && (await buffer(body))
}
