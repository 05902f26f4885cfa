import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { takeSweepLock } from '../../src/adapters/sweep/cache-sweep-lock.ts'
import { noisePicture } from '../../tools/pictures/picture.ts'
import { ask, post } from '../../tools/requests/ask.ts'
import { startLoad } from '../../tools/requests/load.ts'
import { type Darkroom, uploadFixture } from '../../tools/servers/darkroom.ts'
import { AUTHORIZATION, newStore, startNodeFor, temporaryFolder } from '../../tools/servers/site.ts'

/** Enough to fill the cache several times. */
const ANSWERS = 150

async function startTwo(t: TestContext, settings: Readonly<Record<string, string>> = {}) {
  const { env } = await newStore()
  const CACHE_DIR = join(await temporaryFolder(t), 'cache')
  const start = () => startNodeFor(t, { env: { ...env, CACHE_DIR, ...settings } })
  return [await start(), await start()] as const
}

test('Two nodes may share a CACHE_DIR: what one has made the other finds, and what one deletes is gone from both', async (t) => {
  const nodes = await startTwo(t)
  const [one, other] = nodes
  const id = await uploadFixture(one.url, 'mountains.jpg')
  const path = `/image/${id}/160w/a.jpg`
  const made = await ask(`${one.url}${path}`)
  const found = await ask(`${other.url}${path}`)
  assert.match(made.headers.get('server-timing') ?? '', /"miss"/)
  assert.match(found.headers.get('server-timing') ?? '', /"disk"/)
  assert.deepEqual(found.body, made.body)
  assert.equal(found.headers.get('etag'), made.headers.get('etag'))
  assert.equal((await ask(`${other.url}/images/${id}`, { method: 'DELETE', headers: AUTHORIZATION })).status, 204)
  for (const { url } of nodes) while ((await ask(`${url}${path}`)).status !== 410) await delay(50)
  assert.equal(await uploadFixture(one.url, 'mountains.jpg'), id)
  for (const { url } of nodes) while ((await ask(`${url}${path}`)).status !== 200) await delay(50)
  await assertUntroubled(nodes)
})

test('Two nodes that sweep and fill the same small cache give right pictures only, and neither is troubled', async (t) => {
  const nodes = await startTwo(t, { CACHE_MAX_BYTES: '4M', CACHE_SWEEP_SECONDS: '1', MEMORY_CACHE_BYTES: '1M' })
  const pictures = await Promise.all(Array.from({ length: 12 }, (_, at) => noisePicture(at + 1, 500, 400)))
  for (const { bytes } of pictures) assert.equal((await post(nodes[0].url, bytes)).status, 201)
  const loads = nodes.map(({ url }) => startLoad(t, url, pictures, ({ status }) => assert.fail(`${status}`)))
  for (const load of loads) await load.goOnFor(ANSWERS)
  for (const load of loads) assert.ok((await load.stop()).pictures > 10)
  await assertUntroubled(nodes)
})

test('A node that finds another at its sweep leaves it to that one, without a word', async (t) => {
  const cacheDir = join(await temporaryFolder(t), 'cache')
  await (await startNodeFor(t, { env: { CACHE_DIR: cacheDir } })).stop()
  const hidden = join(cacheDir, 'tmp/gone-folder')
  await mkdir(hidden)
  await writeFile(join(hidden, '400w.jpg'), 'a picture')
  const lock = takeSweepLock(cacheDir)
  const node = await startNodeFor(t, { env: { CACHE_DIR: cacheDir, CACHE_SWEEP_SECONDS: '1' } })
  // The sweep of the start is over when a second node, asked for one more, is as far.
  await (await startNodeFor(t, { env: { CACHE_DIR: cacheDir } })).stop()
  assert.ok(existsSync(hidden))
  lock.release()
  while (existsSync(hidden)) await delay(50)
  await assertUntroubled([node])
})

async function assertUntroubled(nodes: readonly Darkroom[]): Promise<void> {
  for (const node of nodes) {
    await ask(`${node.url}/last`)
    let lines = await node.log()
    for (; !lines.some(({ path }) => path === '/last'); lines = await node.log()) await delay(50)
    assert.deepEqual(
      lines.filter(({ level }) => level !== 'info'),
      [],
    )
  }
}
