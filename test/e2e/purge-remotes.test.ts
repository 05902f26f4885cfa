import assert from 'node:assert/strict'
import { join } from 'node:path'
import { rm, utimes } from 'node:fs/promises'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createS3Store } from '../../src/adapters/s3-store.ts'
import { remoteFolder, remotePointerKey } from '../../src/domain/store-layout.ts'
import { resourceId } from '../../src/domain/version-id.ts'
import { filesBelow } from '../support/ask.ts'
import { fixture } from '../support/darkroom.ts'
import { assertPicture } from '../support/picture.ts'
import { purgeRemotes } from '../support/purge-remotes.ts'
import { jsonFields, rawRequest } from '../support/raw-request.ts'
import { startRemoteSite } from '../support/remote-site.ts'
import { keysOf } from '../support/s3-bucket.ts'
import { newStore, startNodeFor, startSite } from '../support/site.ts'

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

test('While everything is purged again and again every view is right, on two nodes of one S3 store', async (t) => {
  const { env, origin, pages } = await startRemoteSite(t)
  const photograph = await fixture('mountains.jpg')
  const urls = Array.from({ length: 6 }, (_, index) => `${origin}/${index}.jpg`)
  for (const url of urls)
    pages.set(new URL(url).pathname, { body: photograph, headers: { 'Cache-Control': 'max-age=1', ETag: '"1"' } })
  const { env: storeEnv, settings } = await newStore()
  // What the disk does not keep has to come from the store, or from its host.
  const nodeEnv = { ...env, ...storeEnv, CACHE_MAX_BYTES: '64K', CACHE_SWEEP_SECONDS: '1' }
  const sites = [await startSite(t, nodeEnv), await startSite(t, nodeEnv)]
  const purging = { isOver: false }
  const views = sites.map(async ({ url: node }) => {
    let seen = 0
    for (; !purging.isOver || seen < 20; seen += 1) {
      const url = urls[seen % urls.length] ?? ''
      const { status, body } = await rawRequest(node, pathOf(url, `${50 + (seen % 200)}w`))
      assert.equal(status, 200, body.toString())
      await assertPicture(body, { format: 'jpeg', width: 50 + (seen % 200) })
    }
    return seen
  })
  let removed = 0
  for (let times = 0; times < 4; times += 1) {
    const { code, stdout, stderr } = await purgeRemotes(storeEnv, ['--max-bytes', '0', '--json'])
    assert.deepEqual([code, stderr], [0, ''])
    removed += Number(jsonFields(stdout)['removedImages'])
  }
  purging.isOver = true
  t.diagnostic(`${(await Promise.all(views)).join(' and ')} views while ${removed} images were deleted`)
  assert.ok(removed > 0)
  for (const { node } of sites) await node.stop()
  const store = createS3Store(settings)
  t.after(() => store.close())
  await purgeRemotes(storeEnv, ['--max-bytes', '0'])
  assert.deepEqual(await keysOf(store, 'remotes/', never), [])
})

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await nextTurn()
}
