import assert from 'node:assert/strict'
import { chmod, chown, mkdir, rm, truncate, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { originalFile, renditionFolder } from '../../src/domain/stored/cache-layout.ts'
import { assertPicture, decoded, noisePicture, type Picture } from '../pictures/picture.ts'
import { mountSmallDisk, type SmallDisk } from '../processes/small-disk.ts'
import { type Answer, ask, assertUnavailable, filesBelow, logged, recoversIn } from '../requests/ask.ts'
import { startLoad } from '../requests/load.ts'
import { backgroundIsDone } from '../servers/darkroom.ts'
import { temporaryFolder } from '../servers/site.ts'
import type { FaultRow, RowScope } from './row.ts'
import { type Stage, type StageOptions, setStage, startNode } from './stage.ts'

const COUNT = 10
const NOBODY = 65_534

interface DiskStage extends Stage {
  readonly pictures: readonly Picture[]
}

async function setDiskStage(scope: RowScope, options: StageOptions): Promise<DiskStage> {
  const stage = await setStage(scope, options)
  const pictures = await Promise.all(Array.from({ length: COUNT }, (_, at) => noisePicture(50 + at, 320, 240)))
  for (const { bytes } of pictures) assert.equal((await stage.post(bytes)).status, 201)
  return { ...stage, pictures }
}

/** Viewers for whom every answer is a right picture, or now and then a clean 503; counted. */
async function withViewers(scope: RowScope, { url, pictures }: DiskStage, trouble: () => Promise<void>): Promise<void> {
  const answers = scope.short ? 100 : 300
  const load = startLoad(scope, url, pictures, (answer: Answer) => {
    assertUnavailable(answer, /^(disk_unavailable|overloaded)$/)
    scope.tally.count(answer)
  })
  await load.goOnFor(40)
  await trouble()
  await load.goOnFor(answers)
  const seen = await load.stop()
  scope.tally.add(200, seen.pictures)
  scope.says(`${seen.pictures} pictures and ${seen.unavailable} times 503 around it`)
  assert.ok(seen.unavailable <= seen.pictures / 20)
}

/** With a disk that takes nothing: pictures are made all the same, uploads refused, and the operator is told once. */
async function assertUncached(scope: RowScope, { node, url, post, pictures }: DiskStage): Promise<void> {
  for (const { id } of pictures) {
    const answer = await scope.tally.ask(`${url}/image/${id}/31w/x.jpg`)
    assert.equal(answer.status, 200)
    await assertPicture(answer.body, { format: 'jpeg', width: 31 })
  }
  const { bytes } = await noisePicture(88, 1200, 900)
  assertUnavailable(await post(bytes), /^disk_unavailable$/)
  const ready = await ask(`${node.url}/readyz`)
  assert.equal(ready.status, 200)
  assert.match(ready.body.toString(), /"degraded"/)
  const told = await logged(node, ({ msg }) => String(msg).includes('served without the disk cache'))
  assert.equal(told.length, 1)
  scope.says(
    `while it lasts: ${pictures.length} new pictures 200, an upload 503, ready 200 "degraded", one line in the log`,
  )
}

/** With a disk that takes files again. */
async function assertCaching(scope: RowScope, { node, url, post, pictures }: DiskStage): Promise<void> {
  const { bytes } = await noisePicture(89)
  scope.recovered(
    await recoversIn(
      () => post(bytes),
      ({ status }) => status === 201,
    ),
  )
  for (const { id } of pictures) {
    assert.equal((await scope.tally.ask(`${url}/image/${id}/33w/x.jpg`)).status, 200)
    // After many renditions it is published together with others.
    await backgroundIsDone(node)
    const files = await filesBelow(join(node.cacheDir, 'renditions', renditionFolder(id)))
    assert.ok(files.includes('33w.jpg'), String(files))
  }
}

function onDisk(disk: SmallDisk): StageOptions {
  return { env: { CACHE_DIR: disk.path, CACHE_MAX_BYTES: '1G', CACHE_MIN_FREE_BYTES: '1M' } }
}

async function full(scope: RowScope): Promise<void> {
  const disk = await mountSmallDisk(scope, 24)
  const stage = await setDiskStage(scope, onDisk(disk))
  let filler = ''
  await withViewers(scope, stage, async () => {
    filler = await disk.fill('another-program')
  })
  await disk.fill('another-program-again')
  await assertUncached(scope, stage)
  assert.deepEqual(await filesBelow(join(disk.path, 'tmp')), [])
  await rm(filler)
  await assertCaching(scope, stage)
}

async function unwritable(scope: RowScope): Promise<void> {
  const disk = await mountSmallDisk(scope, 24)
  const readOnly = await setDiskStage(scope, onDisk(disk))
  await withViewers(scope, readOnly, () => disk.remount('ro'))
  await assertUncached(scope, readOnly)
  await disk.remount('rw')
  await assertCaching(scope, readOnly)

  const gone = await setDiskStage(scope, { env: { CACHE_DIR: join(await temporaryFolder(scope), 'cache') } })
  await withViewers(scope, gone, () =>
    rm(gone.node.cacheDir, { recursive: true, force: true, maxRetries: 50, retryDelay: 1 }),
  )
  await assertCaching(scope, gone)

  // Root may write anywhere, so this node is nobody's.
  const folder = join(await temporaryFolder(scope), 'cache')
  await chmod(dirname(folder), 0o755)
  await mkdir(folder)
  await chown(folder, NOBODY, NOBODY)
  const own = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups']
  const through = ['sh', '-c', 'cd / && exec "$@"', 'sh', ...own]
  const locked = await setDiskStage(scope, { through, env: { CACHE_DIR: folder } })
  const folders = ['tmp', 'renditions', 'originals'].map((name) => join(folder, name))
  const lock = async (uid: number): Promise<void> => {
    for (const path of [folder, ...folders]) await chown(path, uid, uid)
  }
  await withViewers(scope, locked, async () => {
    for (const path of folders) await mkdir(path, { recursive: true })
    for (const path of [folder, ...folders]) await chmod(path, 0o755)
    await lock(0)
  })
  await assertUncached(scope, locked)
  await lock(NOBODY)
  await assertCaching(scope, locked)
}

async function deleted(scope: RowScope): Promise<void> {
  for (const directHits of [true, false]) {
    const stage = await setStage(scope, { nginx: { directHits } })
    const { id, bytes } = await noisePicture(5, 900, 900)
    assert.equal((await stage.post(bytes)).status, 201)
    const folder = join(stage.node.cacheDir, 'renditions', renditionFolder(id))
    const paths = [
      [`/image/${id}/800w,q95/x.png`, 800],
      [`/image/${id}/700w,q95`, 700],
      [`/image/${id}/30w/x.jpg`, 30],
    ] as const
    const rounds = scope.short ? 5 : 25
    for (let round = 0; round < rounds; round += 1) {
      // At any moment of the way, from before the look-up to after the last byte.
      const answers = Promise.all(paths.map(([path]) => scope.tally.ask(`${stage.url}${path}`)))
      await new Promise(setImmediate)
      await rm(folder, { recursive: true, force: true, maxRetries: 50, retryDelay: 1 })
      for (const [at, answer] of (await answers).entries()) {
        assert.equal(answer.status, 200)
        assert.equal((await decoded(answer.body)).width, paths[at]?.[1])
        assert.match(answer.headers.get('cache-control') ?? '', /immutable/)
      }
    }
    const way = directHits ? 'sent by nginx itself' : 'all through the node'
    scope.says(`${rounds * paths.length} requests while files go, ${way}: all 200, all whole`)
  }
}

const SPOILING = {
  empty: (path: string) => truncate(path, 0),
  'cut short': (path: string) => truncate(path, 500),
  'no image': (path: string) => writeFile(path, 'Nobody knows how this came here.'.repeat(100)),
} as const

async function spoiled(scope: RowScope): Promise<void> {
  for (const [how, spoil] of Object.entries(SPOILING)) {
    const folder = join(await temporaryFolder(scope), 'cache')
    const stage = await setStage(scope, { env: { CACHE_DIR: folder } })
    const { id, bytes } = await noisePicture(6, 400, 300)
    assert.equal((await stage.post(bytes)).status, 201)
    const path = `${stage.url}/image/${id}/300w/x.jpg`
    const whole = await scope.tally.ask(path)
    await spoil(join(folder, 'renditions', renditionFolder(id), '300w.jpg'))
    await spoil(join(folder, 'originals', originalFile(id)))
    // An original by a node that knows of it, a rendition by one that has to look.
    await assertPicture((await scope.tally.ask(`${stage.url}/image/${id}/301w/x.jpg`)).body, {
      format: 'jpeg',
      width: 301,
    })
    await spoil(join(folder, 'renditions', renditionFolder(id), '300w.jpg')).catch(() => {})
    await stage.node.stop()
    await startNode(scope, { env: { ...stage.env, PORT: String(stage.node.port) } })
    const shown = await scope.tally.ask(path)
    assert.equal(shown.status, 200)
    assert.ok(shown.body.equals(whole.body), `a rendition that is ${how} was sent as it was`)
    assert.equal(shown.headers.get('etag'), whole.headers.get('etag'))
  }
  scope.says('originals and renditions that are empty, cut short or no image: made again, the same as before')
}

export const DISK_ROWS: readonly FaultRow[] = [
  {
    row: 15,
    fault: 'cache disk full',
    what: 'Another program fills a disk of 24 MiB to its last byte under load',
    run: full,
  },
  {
    row: 16,
    fault: 'cache read-only, no permission, or gone',
    what: 'The disk is remounted read-only; the cache is deleted; its folders are chowned to another user; all under load',
    run: unwritable,
  },
  {
    row: 17,
    fault: 'file deleted between lookup and send',
    what: 'The files of an image are deleted during requests for them, by nginx and through the node',
    run: deleted,
  },
  {
    row: 18,
    fault: 'corrupt or truncated cache file',
    what: 'Files in the cache are emptied, truncated, and overwritten; then another process reads them',
    run: spoiled,
  },
]
