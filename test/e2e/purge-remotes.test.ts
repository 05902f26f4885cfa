import assert from 'node:assert/strict'
import { readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createS3Store } from '../../src/adapters/s3/s3-store.ts'
import { resourceId } from '../../src/domain/identity/image-id.ts'
import { remoteFolder, remotePointerKey } from '../../src/domain/stored/store-layout.ts'
import { createRemotePurge } from '../../src/service/library/remote-purge.ts'
import { assertPicture } from '../../tools/pictures/picture.ts'
import { filesBelow } from '../../tools/requests/ask.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { keysOf } from '../../tools/s3/s3-bucket.ts'
import { fixture } from '../../tools/servers/darkroom.ts'
import { startRemoteSite } from '../../tools/servers/remote-site.ts'
import { newStore, startNodeFor } from '../../tools/servers/site.ts'
import { purgeRemotes } from '../support/purge-remotes.ts'

const never = new AbortController().signal
const DAY_SECONDS = 86_400

const pathOf = (url: string, size = '100w') => `/image?url=${encodeURIComponent(url)}&size=${size}&format=jpg`
const resourceOf = (url: string) => resourceId({ kind: 'remote', url })

test('After a purge the oldest image is fetched again at its next view, and the others are not', async (t) => {
  const { env, host, origin, pages } = await startRemoteSite(t)
  const photograph = await fixture('mountains.jpg')
  const urls = ['old', 'recent', 'new'].map((name) => `${origin}/${name}.jpg`)
  for (const url of urls)
    pages.set(new URL(url).pathname, { body: photograph, headers: { 'Cache-Control': 'max-age=9999' } })
  const folder = String(env['STORE']).slice('file:'.length)
  const first = await startNodeFor(t, { env })
  for (const [index, url] of urls.entries()) {
    assert.equal((await rawRequest(first.url, pathOf(url))).status, 200)
    await until(async () => (await filesBelow(join(folder, remoteFolder(resourceOf(url))))).length === 2)
    const at = Date.now() / 1000 - (3 - index) * DAY_SECONDS
    await utimes(join(folder, remotePointerKey(resourceOf(url))), at, at)
  }
  assert.equal(host.requests.length, 3)

  const { code, stdout } = await purgeRemotes(
    { STORE: env['STORE'] ?? '', REMOTE_MAX_BYTES: String(photograph.length * 2 + 10_000) },
    ['--json'],
  )
  const { images, removedImages } = jsonFields(stdout)
  assert.deepEqual([code, images, removedImages], [0, 3, 1])
  assert.deepEqual(await filesBelow(join(folder, remoteFolder(resourceOf(urls[0] ?? '')))), [])

  const fetchedBy = async (node: { readonly url: string }, size: string) => {
    host.requests.length = 0
    for (const url of urls) {
      const { status, body } = await rawRequest(node.url, pathOf(url, size))
      assert.equal(status, 200)
      await assertPicture(body, { format: 'jpeg', width: Number.parseInt(size, 10) })
    }
    return host.requests.map(({ url }) => url)
  }
  // One that knows it still has it in its own cache, and fetches it when that is gone too.
  assert.deepEqual(await fetchedBy(first, '100w'), [])
  await rm(join(first.cacheDir, 'originals'), { recursive: true })
  await rm(join(first.cacheDir, 'renditions'), { recursive: true })
  assert.deepEqual(await fetchedBy(first, '90w'), ['/old.jpg'])
  await purgeRemotes({ STORE: env['STORE'] ?? '' }, ['--max-bytes', '0'])
  assert.deepEqual(await filesBelow(join(folder, 'remotes')), [])
  const second = await startNodeFor(t, { env })
  assert.deepEqual(await fetchedBy(second, '80w'), ['/old.jpg', '/recent.jpg', '/new.jpg'])
})

test('An image that is viewed once in a while survives a purge that takes one which is not, fetched at the same time', async (t) => {
  const { env, host, origin, pages } = await startRemoteSite(t)
  const photograph = await fixture('mountains.jpg')
  const [used = '', idle = ''] = ['used', 'idle'].map((name) => `${origin}/${name}.jpg`)
  for (const url of [used, idle]) {
    pages.set(new URL(url).pathname, { body: photograph, headers: { 'Cache-Control': 'max-age=30000000' } })
  }
  const folder = String(env['STORE']).slice('file:'.length)
  const pointerOf = (url: string) => join(folder, remotePointerKey(resourceOf(url)))
  const first = await startNodeFor(t, { env })
  for (const url of [used, idle]) {
    assert.equal((await rawRequest(first.url, pathOf(url))).status, 200)
    await until(async () => (await filesBelow(join(folder, remoteFolder(resourceOf(url))))).length === 2)
    // Eight days go by.
    const { checkedAt, ...pointer } = jsonFields(await readFile(pointerOf(url)))
    const then = Number(checkedAt) - 8 * DAY_SECONDS * 1000
    await writeFile(pointerOf(url), JSON.stringify({ ...pointer, checkedAt: then }))
    await utimes(pointerOf(url), then / 1000, then / 1000)
  }
  await first.stop()

  const second = await startNodeFor(t, { env })
  assert.equal((await rawRequest(second.url, pathOf(used))).status, 200)
  await until(async () => Date.now() - (await stat(pointerOf(used))).mtimeMs < DAY_SECONDS * 1000)
  const { code } = await purgeRemotes({ STORE: env['STORE'] ?? '' }, ['--max-bytes', String(photograph.length + 5000)])
  assert.equal(code, 0)
  assert.equal((await filesBelow(join(folder, remoteFolder(resourceOf(used))))).length, 2)
  assert.deepEqual(await filesBelow(join(folder, remoteFolder(resourceOf(idle)))), [])
  assert.equal(host.requests.length, 2)
})

test('While everything is purged again and again every view is right, on two nodes of one S3 store', async (t) => {
  const { env, origin, pages } = await startRemoteSite(t)
  const photograph = await fixture('mountains.jpg')
  const urls = Array.from({ length: 6 }, (_, index) => `${origin}/${index}.jpg`)
  for (const url of urls)
    pages.set(new URL(url).pathname, { body: photograph, headers: { 'Cache-Control': 'max-age=1', ETag: '"1"' } })
  const { env: storeEnv, settings } = await newStore()
  const store = createS3Store(settings)
  t.after(() => store.close())
  // What the disk does not keep has to come from the store, or from its host.
  const nodeEnv = { ...env, ...storeEnv, CACHE_MAX_BYTES: '64K', CACHE_SWEEP_SECONDS: '1' }
  const nodes = await Promise.all([startNodeFor(t, { env: nodeEnv }), startNodeFor(t, { env: nodeEnv })])
  const purging = { isOver: false }
  const views = nodes.map(async (node) => {
    let seen = 0
    for (; !purging.isOver || seen < 12; seen += 1) {
      const url = urls[seen % urls.length] ?? ''
      const { status, body } = await rawRequest(node.url, pathOf(url, `${50 + (seen % 200)}w`))
      assert.equal(status, 200, body.toString())
      await assertPicture(body, { format: 'jpeg', width: 50 + (seen % 200) })
    }
    return seen
  })
  const purge = () => createRemotePurge({ store, maxBytes: 0, dryRun: false, now: () => Date.now() }).run(never)
  let removed = 0
  for (let times = 0; times < 3; times += 1) {
    await until(async () => (await keysOf(store, 'remotes/', never)).length > 0)
    removed += (await purge()).removedImages
  }
  purging.isOver = true
  t.diagnostic(`${(await Promise.all(views)).join(' and ')} views while ${removed} images were deleted`)
  assert.ok(removed > 0)
  await Promise.all(nodes.map((node) => node.stop()))
  await purge()
  assert.deepEqual(await keysOf(store, 'remotes/', never), [])
})

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await nextTurn()
}
