import assert from 'node:assert/strict'
import { readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { originalFile, renditionFolder } from '../../src/domain/stored/cache-layout.ts'
import { assertPicture, noisePicture, type Picture } from '../../tools/pictures/picture.ts'
import { mountSmallDisk, type SmallDisk } from '../../tools/processes/small-disk.ts'
import { type Answer, ask, assertUnavailable, filesBelow, logged, post, recoversIn } from '../../tools/requests/ask.ts'
import { startLoad } from '../../tools/requests/load.ts'
import { backgroundIsDone, type Darkroom } from '../../tools/servers/darkroom.ts'
import { startNodeFor, startSite, temporaryFolder } from '../../tools/servers/site.ts'

const COUNT = 12
/** Who sends the files. */
const WAYS = ['node', 'nginx'] as const

test('a full disk: under load every answer is a right picture or a clean 503, and uploads are refused until there is room', async (t) => {
  const { node, disk, pictures } = await setStage(t)
  const load = startLoad(t, node.url, pictures, assertDiskTrouble)
  await load.goOnFor(40)
  const filler = await disk.fill('another-program')
  await load.goOnFor(200)
  await disk.fill('another-program-again')
  await load.goOnFor(200)
  const { pictures: shown, unavailable } = await load.stop()
  t.diagnostic(`${shown} pictures and ${unavailable} times 503 while the disk ran full`)
  assert.ok(unavailable <= shown / 20)

  await assertServesUncached(node, pictures, () => disk.fill('another-program-again'))
  assert.deepEqual(await filesBelow(join(disk.path, 'tmp')), [])

  await rm(filler)
  await assertCaching(t, node, pictures)
})

test('a disk that turns read-only: pictures are served all the same, and cached again when it has been mended', async (t) => {
  const { node, disk, pictures } = await setStage(t)
  const load = startLoad(t, node.url, pictures, assertDiskTrouble)
  await load.goOnFor(40)
  await disk.remount('ro')
  await load.goOnFor(200)
  const { pictures: shown, unavailable } = await load.stop()
  t.diagnostic(`${shown} pictures and ${unavailable} times 503 while the disk turned read-only`)
  await assertServesUncached(node, pictures)
  await disk.remount('rw')
  await assertCaching(t, node, pictures)
  assert.deepEqual(await filesBelow(join(disk.path, 'tmp')), [])
})

test('with the disk full, originals go through a bounded memory, however many are asked for', async (t) => {
  const { node, disk } = await setStage(t, { MEMORY_CACHE_BYTES: '2M' })
  // Three times what the memory holds.
  const many = await uploadMany(node, 100, 20)
  await rm(join(disk.path, 'originals'), { recursive: true })
  await disk.fill('another-program')
  for (const { id } of many) {
    const answer = await ask(`${node.url}/image/${id}/50w/x.jpg`)
    assert.equal(answer.status, 200, answer.body.toString())
    await assertPicture(answer.body, { format: 'jpeg', width: 50 })
  }
})

for (const way of WAYS) {
  test(`the cache deleted as a whole under load, again and again: every answer is right (sent by ${way})`, async (t) => {
    const { node, url } = await startWay(t, way, { CACHE_SWEEP_SECONDS: '1' })
    const { cacheDir } = node
    const pictures = await uploadMany(node, 1, COUNT)
    const load = startLoad(t, url, pictures, assertDiskTrouble)
    for (let times = 0; times < 10; times += 1) {
      await load.goOnFor(25)
      await removeTree(cacheDir)
    }
    await load.goOnFor(25)
    const { pictures: shown, unavailable } = await load.stop()
    t.diagnostic(`${shown} pictures and ${unavailable} times 503`)
    assert.ok(unavailable <= shown / 20)
    const { id, bytes } = await noisePicture(77)
    assert.equal((await post(node.url, bytes)).status, 201)
    assert.equal((await ask(`${url}/image/${id}/30w/x.jpg`)).status, 200)
    await backgroundIsDone(node)
    assert.ok((await filesBelow(join(cacheDir, 'renditions'))).length > 0)
    // It is a cache again also for the sweep, which would let it grow otherwise.
    await recoversIn(
      async () => {
        const files = await filesBelow(cacheDir)
        return { ...(await ask(`${node.url}/healthz`)), status: files.includes('.darkroom-cache') ? 200 : 503 }
      },
      ({ status }) => status === 200,
    )
  })
}

for (const way of WAYS) {
  test(`a file deleted between look-up and sending is made again (sent by ${way})`, async (t) => {
    const { node, url } = await startWay(t, way)
    const { id, bytes } = await noisePicture(5, 900, 900)
    assert.equal((await post(node.url, bytes)).status, 201)
    for (const path of [`/image/${id}/800w,q95/x.png`, `/image/${id}/700w,q95`, `/image/${id}/30w/x.jpg`]) {
      const first = await ask(`${url}${path}`)
      assert.equal(first.status, 200)
      for (let times = 0; times < 2; times += 1) {
        await rm(join(node.cacheDir, 'renditions', renditionFolder(id)), { recursive: true, force: true })
        const again = await ask(`${url}${path}`)
        assert.equal(again.status, 200, again.body.toString().slice(0, 300))
        assert.ok(again.body.equals(first.body))
        assert.match(again.headers.get('cache-control') ?? '', /immutable/)
      }
    }
  })
}

const SPOILED = {
  'is empty': (path: string) => truncate(path, 0),
  'is cut short': (path: string) => truncate(path, 200_000),
  'has lost all but its beginning': (path: string) => truncate(path, 20),
  'is no image': (path: string) => writeFile(path, 'Nobody knows how this came here.'.repeat(1000)),
  'is gone': (path: string) => rm(path),
} as const
for (const [name, spoil] of Object.entries(SPOILED)) {
  test(`an original in the cache that ${name} is fetched again, before a restart and after it`, async (t) => {
    const folder = await temporaryFolder(t)
    const env = { STORE: `file:${join(folder, 'data')}`, CACHE_DIR: join(folder, 'cache') }
    const { id, bytes } = await noisePicture(6, 400, 300)
    const path = join(env.CACHE_DIR, 'originals', originalFile(id))
    for (const [round, width] of [50, 60].entries()) {
      const node = await startNodeFor(t, { env })
      if (round === 0) assert.equal((await post(node.url, bytes)).status, 201)
      else await spoil(path)
      for (const [step, spec] of [`${width}w/x.jpg`, `${width + 1}w`].entries()) {
        if (round === 0 || step > 0) await spoil(path)
        const answer = await ask(`${node.url}/image/${id}/${spec}`)
        assert.equal(answer.status, 200, answer.body.toString().slice(0, 300))
        await assertPicture(answer.body, { format: 'jpeg', width: width + step })
        assert.ok((await readFile(path)).equals(bytes))
      }
      await node.stop()
    }
  })
}

test('a file that is empty, cut or written by somebody else is no rendition, wherever it lies', async (t) => {
  const node = await startNodeFor(t)
  const { id, bytes } = await noisePicture(7)
  assert.equal((await post(node.url, bytes)).status, 201)
  const whole = await ask(`${node.url}/image/${id}/30w/x.jpg`)
  assert.equal(whole.status, 200)
  const FOREIGN = [
    Buffer.alloc(0),
    Buffer.from('Nobody knows how this came here.'),
    whole.body.subarray(0, 300),
    whole.body,
  ]
  for (const [at, content] of FOREIGN.entries()) {
    const width = 20 + at
    await writeFile(join(node.cacheDir, 'renditions', renditionFolder(id), `${width}w.jpg`), content)
    await assertPicture((await ask(`${node.url}/image/${id}/${width}w/x.jpg`)).body, { format: 'jpeg', width })
  }
})

/** nginx looks for no files by itself here, so that all of them go through the node. */
async function startWay(
  t: TestContext,
  way: (typeof WAYS)[number],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly node: Darkroom; readonly url: string }> {
  if (way === 'nginx') return await startSite(t, env, { directHits: false })
  const node = await startNodeFor(t, { env })
  return { node, url: node.url }
}

interface Stage {
  readonly node: Darkroom
  readonly disk: SmallDisk
  readonly pictures: readonly Picture[]
}

/** A node whose cache has a small disk of its own, and some pictures. */
async function setStage(t: TestContext, env: Readonly<Record<string, string>> = {}): Promise<Stage> {
  const disk = await mountSmallDisk(t, 24)
  const node = await startNodeFor(t, {
    env: { CACHE_DIR: disk.path, CACHE_MAX_BYTES: '1G', CACHE_MIN_FREE_BYTES: '1M', ...env },
  })
  return { node, disk, pictures: await uploadMany(node, 1, COUNT) }
}

async function uploadMany(node: Darkroom, fromSeed: number, count: number): Promise<Picture[]> {
  const pictures = await Promise.all(Array.from({ length: count }, (_, at) => noisePicture(fromSeed + at, 320, 240)))
  for (const { bytes } of pictures) assert.equal((await post(node.url, bytes)).status, 201)
  return pictures
}

function assertDiskTrouble(answer: Answer): void {
  assertUnavailable(answer, /^(disk_unavailable|overloaded)$/)
}

/**
 * With a disk that takes nothing.
 *
 * @param refill Makes it so again: a sweep makes room, of what was written more than ten seconds ago.
 */
async function assertServesUncached(
  node: Darkroom,
  pictures: readonly Picture[],
  refill?: () => Promise<unknown>,
): Promise<void> {
  await refill?.()
  for (const { id } of pictures) {
    const answer = await ask(`${node.url}/image/${id}/31w/x.jpg`)
    assert.equal(answer.status, 200, answer.body.toString())
    await assertPicture(answer.body, { format: 'jpeg', width: 31 })
  }
  const refused = await refusedUpload(node, refill)
  assertUnavailable(refused, /^disk_unavailable$/)
  const ready = await ask(`${node.url}/readyz`)
  assert.equal(ready.status, 200)
  assert.match(ready.body.toString(), /"degraded"/)
  const told = await logged(node, ({ msg }) => String(msg).includes('served without the disk cache'))
  assert.equal(told.length, 1)
  const warnings = (await node.log()).filter(({ level, msg }) => level !== 'info' && msg !== 'request')
  assert.ok(warnings.length <= 2, JSON.stringify(warnings))
}

/** The answer to an upload; to another one where a sweep made room at that very moment, at most every five seconds. */
async function refusedUpload(node: Darkroom, refill?: () => Promise<unknown>): Promise<Answer> {
  for (let seed = 880; ; seed += 1) {
    const { bytes } = await noisePicture(seed, 1200, 900)
    await refill?.()
    const answer = await post(node.url, bytes)
    if (answer.status === 503 || refill === undefined || seed === 884) return answer
  }
}

/** With a disk that takes files again. */
async function assertCaching(t: TestContext, node: Darkroom, pictures: readonly Picture[]): Promise<void> {
  const { bytes } = await noisePicture(89)
  const ms = await recoversIn(
    () => post(node.url, bytes),
    ({ status }) => status === 201,
  )
  t.diagnostic(`takes uploads again after ${Math.round(ms)} ms`)
  for (const { id } of pictures) {
    assert.equal((await ask(`${node.url}/image/${id}/33w/x.jpg`)).status, 200)
    // After many renditions it is published together with others.
    await backgroundIsDone(node)
    const files = await filesBelow(join(node.cacheDir, 'renditions', renditionFolder(id)))
    assert.ok(files.includes('33w.jpg'), String(files))
  }
}

/** As an operator would who is in a hurry: again, while somebody puts new files into what is being emptied. */
async function removeTree(path: string): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await rm(path, { recursive: true, force: true })
      return
    } catch (error) {
      const busy = error instanceof Error && 'code' in error && error.code === 'ENOTEMPTY'
      if (!busy || tries === 100) throw error
    }
  }
}
