import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { CACHE_FOLDERS } from '../../src/domain/stored/cache-layout.ts'
import { noisePicture } from '../../tools/pictures/picture.ts'
import { filesBelow, post } from '../../tools/requests/ask.ts'
import { startLoad } from '../../tools/requests/load.ts'
import { startNodeFor, temporaryFolder } from '../../tools/servers/site.ts'

const MIB = 1024 * 1024
const BUDGET = 4 * MIB
/** The longest time that new files are safe from a sweep, and to the next sweep, with some slack. */
const SETTLED_MS = 10_000 + 5000 + 5000
const LOAD_MS = 8000

test('while many sizes are rendered the cache comes back to its budget, and every picture is right', async (t) => {
  const node = await startNodeFor(t, {
    env: { CACHE_MAX_BYTES: '4M', CACHE_SWEEP_SECONDS: '1', MEMORY_CACHE_BYTES: '1M' },
  })
  const pictures = await Promise.all(Array.from({ length: 12 }, (_, at) => noisePicture(at + 1, 500, 400)))
  for (const { bytes } of pictures) assert.equal((await post(node.url, bytes)).status, 201)
  const load = startLoad(t, node.url, pictures, ({ status }) => assert.fail(`${status}`))
  let most = 0
  for (const began = performance.now(); performance.now() - began < LOAD_MS; await delay(200)) {
    most = Math.max(most, await usedBytes(node.cacheDir))
  }
  const { pictures: shown, bytes } = await load.stop()
  const began = performance.now()
  let used = await usedBytes(node.cacheDir)
  for (; used > BUDGET && performance.now() - began < SETTLED_MS; await delay(200))
    used = await usedBytes(node.cacheDir)
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  t.diagnostic(
    `${shown} pictures of ${toMib(bytes)}; at most ${toMib(most)}; ${toMib(used)} ${seconds} s after the last of them`,
  )
  assert.ok(most > BUDGET)
  assert.ok(used <= BUDGET, toMib(used))
  const counted = await node.metric('darkroom_cache_bytes')
  assert.ok(counted <= BUDGET + MIB, toMib(counted))
  assert.ok((await node.metric('darkroom_cache_evicted_files_total')) > 0)
  assert.ok((await node.metric('darkroom_cache_evicted_bytes_total')) > 0)
})

test('what a crash has left behind is removed after a start: unfinished files when they are old, deleted images at once', async (t) => {
  const folder = await temporaryFolder(t)
  const store = join(folder, 'data')
  const cacheDir = join(folder, 'cache')
  const env = { STORE: `file:${store}`, CACHE_DIR: cacheDir }
  await (await startNodeFor(t, { env })).stop()

  const [orphan, young] = [join(store, 'tmp/orphan'), join(store, 'tmp/young')]
  const hidden = join(cacheDir, 'tmp/gone-folder')
  const unfinished = join(cacheDir, 'tmp/in-unfinished')
  await mkdir(hidden)
  for (const path of [orphan, young, join(hidden, '400w.jpg'), unfinished]) await writeFile(path, 'Half a pict')
  const twoHoursAgo = Date.now() / 1000 - 7200
  await utimes(orphan, twoHoursAgo, twoHoursAgo)

  await startNodeFor(t, { env })
  for (let tenths = 0; (existsSync(orphan) || existsSync(hidden)) && tenths < 50; tenths += 1) await delay(100)
  const left = [orphan, young, hidden, unfinished].map((path) => existsSync(path))
  assert.deepEqual(left, [false, true, false, true])
})

/** Of what a sweep counts: the renderers' compiled code does not grow. */
async function usedBytes(folder: string): Promise<number> {
  const inodes = new Map<number, number>()
  const files = (await filesBelow(folder)).filter((file) => !file.startsWith(`${CACHE_FOLDERS.code}/`))
  for (const file of files) {
    const found = await stat(join(folder, file)).catch(() => undefined)
    if (found) inodes.set(found.ino, found.blocks * 512)
  }
  return [...inodes.values()].reduce((sum, bytes) => sum + bytes, 0)
}

function toMib(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`
}
