import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { originalFile, renditionFolder } from '../../src/domain/stored/cache-layout.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { fixture, upload, uploadFixture } from '../../tools/servers/darkroom.ts'
import { startFaultProxy } from '../../tools/servers/fault-proxy.ts'
import {
  AUTHORIZATION,
  newStore,
  type Site,
  startNodeFor,
  startSite,
  TOKEN,
  temporaryFolder,
} from '../../tools/servers/site.ts'

/** What a deletion may take to reach everybody. */
const EVERYWHERE_MS = 2000

async function deleteImage(origin: string, id: string): Promise<void> {
  const { status } = await rawRequest(origin, `/images/${id}`, { method: 'DELETE', headers: AUTHORIZATION })
  assert.equal(status, 204)
}

/** All that a node can be asked about an image, sizes included that somebody has seen and that nobody has. */
async function assertGone(origin: string, id: string): Promise<void> {
  for (const path of [`/image/${id}/40w/x.webp`, `/image/${id}/40w`, `/image/${id}/47w/new.jpg`, `/images/${id}`]) {
    const { status, headers, body } = await rawRequest(origin, path)
    assert.equal(status, 410, path)
    assert.equal(headers['cache-control'], 'no-store')
    assert.equal(jsonFields(body).error, 'original_deleted')
  }
}

/** Nothing of the image is on the node's disk under a name by which it could be found. */
function assertForgotten(cacheDir: string, id: string): void {
  assert.equal(existsSync(join(cacheDir, 'renditions', renditionFolder(id))), false)
  assert.equal(existsSync(join(cacheDir, 'originals', originalFile(id))), false)
}

interface Viewer {
  /** Of every answer: when it was asked for, by `performance.now()`. */
  readonly answers: readonly { readonly askedAt: number; readonly status: number }[]
  stop(): Promise<void>
}

/** Somebody who asks for one size after another, known ones and new ones, again and again. */
function startViewer(t: TestContext, origin: string, id: string): Viewer {
  const answers: { askedAt: number; status: number }[] = []
  const end = new AbortController()
  const watch = async () => {
    for (let turn = 0; !end.signal.aborted; turn += 1) {
      const askedAt = performance.now()
      const path = turn % 3 === 0 ? `/image/${id}/${50 + (turn % 200)}w/x.webp` : `/image/${id}/40w`
      const { status } = await rawRequest(origin, path)
      answers.push({ askedAt, status })
    }
  }
  const watching = watch()
  const stop = async () => {
    end.abort()
    await watching
  }
  t.after(stop)
  return { answers, stop }
}

test('Deleted on one of three nodes while all render it, it is gone from all in two seconds, and stays gone', async (t) => {
  const { env } = await newStore()
  const caches = [
    await temporaryFolder(t),
    await temporaryFolder(t),
    await temporaryFolder(t),
    await temporaryFolder(t),
  ]
  const start = (index: number) => startSite(t, { ...env, CACHE_DIR: caches[index] ?? '' })
  const sites: Site[] = [await start(0), await start(1), await start(2)]
  const away = await start(3)
  const [first, second] = [sites[0]?.url ?? '', sites[1]?.url ?? '']
  const id = await uploadFixture(first, 'mountains.jpg', TOKEN)
  for (const { url } of [...sites, away]) assert.equal((await rawRequest(url, `/image/${id}/40w`)).status, 200)
  await away.node.stop()

  const viewers = sites.map(({ url }) => startViewer(t, url, id))
  while (viewers.some(({ answers }) => answers.length < 20)) await delay(20)
  await deleteImage(second, id)
  const deletedAt = performance.now()
  await delay(EVERYWHERE_MS + 700)
  await Promise.all(viewers.map(({ stop }) => stop()))
  for (const { answers } of viewers) {
    assert.ok(answers.slice(0, 15).every(({ status }) => status === 200))
    const after = answers.filter(({ askedAt }) => askedAt > deletedAt + EVERYWHERE_MS)
    assert.ok(after.length > 0)
    assert.deepEqual([...new Set(after.map(({ status }) => status))], [410])
    assert.ok(answers.every(({ status }) => status === 200 || status === 410))
  }
  for (const { url, node } of sites) {
    await assertGone(url, id)
    assertForgotten(node.cacheDir, id)
  }

  // A node that restarts, and one that was down meanwhile.
  await sites[0]?.node.stop()
  for (const site of [await start(0), await start(3)]) {
    await assertGone(site.url, id)
    assertForgotten(site.node.cacheDir, id)
  }

  // The same bytes again: there at once on the node that took them, and soon on the others.
  assert.equal((await upload(second, await fixture('mountains.jpg'), 'image/jpeg', TOKEN)).status, 201)
  for (const path of [`/image/${id}/40w`, `/image/${id}/41w/x.png`, `/images/${id}`]) {
    assert.equal((await rawRequest(second, path)).status, 200)
  }
  const third = sites[2]?.url ?? ''
  const patience = performance.now() + EVERYWHERE_MS
  while ((await rawRequest(third, `/image/${id}/40w`)).status !== 200) assert.ok(performance.now() < patience)
})

test('What is rendered while its original is deleted is neither answered nor kept', async (t) => {
  const { endpoint, env } = await newStore()
  const proxy = await startFaultProxy({ target: endpoint })
  t.after(() => proxy.stop())
  const quick = await startNodeFor(t, { env })
  const slow = await startNodeFor(t, { env: { ...env, S3_ENDPOINT: proxy.endpoint } })
  const id = await uploadFixture(quick.url, 'mountains.jpg')
  // Slow enough that the deletion is over everywhere before the original has come.
  await proxy.setFault({
    kind: 'throttle',
    bytesPerSecond: 150_000,
    matching: { method: /GET/, path: /\/originals\// },
  })
  const rendering = rawRequest(slow.url, `/image/${id}/60w/x.jpg`)
  const negotiating = rawRequest(slow.url, `/image/${id}/60w`)
  while (!proxy.requests.some((line) => line.includes('/originals/'))) await delay(10)
  await deleteImage(quick.url, id)
  for (const { status, body } of await Promise.all([rendering, negotiating])) {
    assert.equal(status, 410)
    assert.equal(jsonFields(body).error, 'original_deleted')
  }
  assertForgotten(slow.cacheDir, id)
})

test('A deletion can be repeated, and of an image that never was it says so', async (t) => {
  const node = await startNodeFor(t)
  const id = await uploadFixture(node.url, 'mountains.jpg')
  await deleteImage(node.url, id.toUpperCase())
  await deleteImage(node.url, id)
  const deletion = { method: 'DELETE', headers: AUTHORIZATION }
  const { status, body } = await rawRequest(node.url, `/images/${'0'.repeat(40)}`, deletion)
  assert.equal(status, 404)
  assert.equal(jsonFields(body).error, 'original_not_found')
})

test('An image that is uploaded and deleted by turns is there after each upload and gone after each deletion', async (t) => {
  const node = await startNodeFor(t)
  const bytes = await fixture('dogs-grey.jpg')
  for (let turn = 0; turn < 4; turn += 1) {
    const response = await upload(node.url, bytes)
    assert.equal(response.status, 201)
    const id = String(jsonFields(await response.text()).id)
    // Longer than from one look for deletions to the next: an old one must not come back.
    const until = performance.now() + (turn % 2) * 1500
    do {
      const width = 30 + Math.floor(Math.random() * 300)
      assert.equal((await rawRequest(node.url, `/image/${id}/${width}w/x.jpg`)).status, 200)
    } while (performance.now() < until)
    await deleteImage(node.url, id)
    assert.equal((await rawRequest(node.url, `/image/${id}/30w/x.jpg`)).status, 410)
  }
})
