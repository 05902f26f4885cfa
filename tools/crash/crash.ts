import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { contentTypeOf } from '../../src/domain/spec/image-format.ts'
import { formatOfFile } from '../../src/domain/stored/cache-layout.ts'
import { decoded, noisePicture, type Picture } from '../pictures/picture.ts'
import { createRandom } from '../pictures/seeded-random.ts'
import { ask, filesBelow } from '../requests/ask.ts'
import { jsonFields } from '../requests/raw-request.ts'
import { AUTHORIZATION } from '../requests/token.ts'
import { type Darkroom, startDarkroom } from '../servers/darkroom.ts'

export interface CrashOptions {
  readonly rounds: number
  /** Decides when the node is killed and what is asked of it. Any whole number but 0. */
  readonly seed: number
  /** Names the store, which is empty at first. */
  readonly env: Readonly<Record<string, string>>
  /** Shared by all the nodes, one after the other. */
  readonly cacheDir: string
  /** Content of every object below `originals/` that was not looked at before, by key. Called while no node runs. */
  readonly newOriginals: () => AsyncIterable<readonly [key: string, bytes: Buffer]>
  readonly onRound?: (round: number) => void
}

/** What happened, so that a reader sees that there was something to lose. */
export interface CrashReport {
  acknowledged: number
  /** Uploads that a crash broke off, and that were repeated after it. */
  repeated: number
  shown: number
  files: number
  startMs: number
}

const UPLOADERS = 3
const VIEWERS = 3
const LONGEST_LIFE_MS = 450
const SPECS = ['40w', '20s', '30w30h,cover,q70', 'full', '48w,2x,up'] as const
const ENDINGS = ['/x.jpg', '/x.webp', '/x.png', '/x.avif', ''] as const

/**
 * Starts a node, uploads and looks at pictures, kills the node in the middle, and again, on one store and one cache.
 * After each crash all that is on disk must be whole, and after each start all that was acknowledged must be there.
 *
 * @throws AssertionError for what is lost, broken or wrong.
 */
export async function surviveCrashes(options: CrashOptions): Promise<CrashReport> {
  const { rounds, seed, cacheDir, env, newOriginals, onRound } = options
  const random = createRandom(seed)
  const report: CrashReport = { acknowledged: 0, repeated: 0, shown: 0, files: 0, startMs: 0 }
  const acknowledged: string[] = []
  const checkedFiles = new Set<string>()
  let broken: Picture[] = []
  let verified = 0
  let nextSeed = seed * 1_000_000

  const start = async (): Promise<Darkroom> => {
    const began = performance.now()
    // One renderer: with more, starting them would be most of what a series takes.
    const own = { CACHE_DIR: cacheDir, LOG_LEVEL: 'warn', RENDER_CONCURRENCY: '1' }
    const node = await startDarkroom({ env: { ...env, ...own } })
    report.startMs = Math.max(report.startMs, performance.now() - began)
    return node
  }

  for (let round = 1; round <= rounds; round += 1) {
    const node = await start()
    for (const id of acknowledged.slice(verified)) await assertKept(node, id)
    verified = acknowledged.length
    const life = { over: false }
    const retries = broken
    broken = []
    report.repeated += retries.length
    const upload = async (): Promise<void> => {
      while (!life.over) {
        const picture = retries.pop() ?? (await noisePicture((nextSeed += 1)))
        broken.push(picture)
        const response = await fetch(`${node.url}/images`, {
          method: 'POST',
          headers: { 'Content-Type': 'image/png', ...AUTHORIZATION },
          body: new Uint8Array(picture.bytes),
        })
        assert.ok(response.status === 201 || response.status === 200, `${response.status}`)
        // From here on it must never be lost, whether or not the rest of the answer arrives.
        acknowledged.push(picture.id)
        broken = broken.filter(({ id }) => id !== picture.id)
        assert.equal(jsonFields(await response.text())['id'], picture.id)
      }
    }
    const view = async (): Promise<void> => {
      while (!life.over) {
        const id = acknowledged.at(-1 - (random() % 20)) ?? acknowledged.at(-1)
        const path = `${pick(SPECS, random)}${pick(ENDINGS, random)}`
        if (id === undefined) await delay(5)
        else await assertShown(`${node.url}/image/${id}/${path}`)
        report.shown += 1
      }
    }
    const work = [
      ...Array.from({ length: UPLOADERS }, () => unlessKilled(upload(), life)),
      ...Array.from({ length: VIEWERS }, () => unlessKilled(view(), life)),
    ]
    await delay(20 + (random() % LONGEST_LIFE_MS))
    life.over = true
    process.kill(node.pid, 'SIGKILL')
    await Promise.all(work)
    await node.stop()
    await assertCacheWhole(cacheDir, checkedFiles)
    for await (const [key, bytes] of newOriginals()) assert.equal(idOf(bytes), basename(key), `${key} is damaged`)
    onRound?.(round)
  }

  const node = await start()
  for (const id of acknowledged) await assertKept(node, id)
  for (const { bytes, id } of broken) {
    const response = await ask(`${node.url}/images`, {
      method: 'POST',
      headers: { 'Content-Type': 'image/png', ...AUTHORIZATION },
      body: new Uint8Array(bytes),
    })
    assert.ok(response.status === 201 || response.status === 200)
    await assertKept(node, id)
  }
  await node.stop()
  return { ...report, acknowledged: acknowledged.length, files: checkedFiles.size }
}

function pick<T>(values: readonly [T, ...T[]], random: () => number): T {
  return values[random() % values.length] ?? values[0]
}

/** A killed node breaks off what is under way; before that nothing may fail. */
async function unlessKilled(work: Promise<void>, life: { readonly over: boolean }): Promise<void> {
  try {
    await work
  } catch (error) {
    if (error instanceof assert.AssertionError || !life.over) throw error
  }
}

async function assertKept(node: Darkroom, id: string): Promise<void> {
  const record = await ask(`${node.url}/images/${id}`)
  assert.equal(record.status, 200, `The record of ${id} is lost: ${record.body.toString()}`)
  const original = await ask(`${node.url}/images/${id}/original`, { headers: AUTHORIZATION })
  assert.equal(original.status, 200, `The original of ${id} is lost: ${original.body.toString()}`)
  assert.equal(idOf(original.body), id)
}

/** Whatever was there before, a picture that is shown is whole, and what it says it is. */
async function assertShown(url: string): Promise<void> {
  const { status, headers, body } = await ask(url, { headers: { Accept: 'image/avif,image/webp,*/*' } })
  assert.equal(status, 200, `${url}: ${body.toString()}`)
  assert.equal(`image/${(await decoded(body)).format}`, headers.get('content-type'))
}

async function assertCacheWhole(cacheDir: string, checked: Set<string>): Promise<void> {
  for (const file of await filesBelow(join(cacheDir, 'renditions'))) {
    if (checked.has(file)) continue
    const format = formatOfFile(file)
    assert.ok(format, file)
    const found = await decoded(await readFile(join(cacheDir, 'renditions', file)))
    assert.equal(`image/${found.format}`, contentTypeOf(format), file)
    checked.add(file)
  }
  for (const file of await filesBelow(join(cacheDir, 'originals'))) {
    if (checked.has(file)) continue
    assert.equal(idOf(await readFile(join(cacheDir, 'originals', file))), basename(file), `${file} is damaged`)
    checked.add(file)
  }
}

function idOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 40)
}
