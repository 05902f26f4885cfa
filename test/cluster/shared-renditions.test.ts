import assert from 'node:assert/strict'
import { suite, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createS3Store } from '../../src/adapters/s3/s3-store.ts'
import { noisePicture } from '../../tools/pictures/picture.ts'
import { ask, post } from '../../tools/requests/ask.ts'
import { keysOf } from '../../tools/s3/s3-bucket.ts'
import { backgroundIsDone, type Darkroom, uploadFixture } from '../../tools/servers/darkroom.ts'
import { AUTHORIZATION, newStore, startNodeFor } from '../../tools/servers/site.ts'

const PICTURES = 16
const ACCEPT = { avif: 'image/avif,image/webp,*/*', webp: 'image/webp,*/*', other: '*/*' } as const

/** Nodes with one bucket of a real S3 server, and caches of their own. */
async function startNodes(t: TestContext, count: number, settings: Readonly<Record<string, string>> = {}) {
  const { env, settings: store } = await newStore()
  const nodes = await Promise.all(
    Array.from({ length: count }, () => startNodeFor(t, { env: { ...env, ...settings } })),
  )
  const [first, ...others] = nodes
  assert.ok(first)
  const bucket = createS3Store(store)
  t.after(bucket.close)
  const shared = () => keysOf(bucket, 'renditions/', new AbortController().signal)
  return { first, others, shared }
}

const renders = (node: Darkroom) => node.metric('darkroom_render_duration_seconds_count')
const hits = (node: Darkroom) => node.metric('darkroom_shared_rendition_hits_total')

async function viewAs(node: Darkroom, path: string, kind: keyof typeof ACCEPT) {
  const answer = await ask(`${node.url}${path}`, { headers: { Accept: ACCEPT[kind] } })
  assert.equal(answer.status, 200)
  return { etag: answer.headers.get('etag'), type: answer.headers.get('content-type'), body: answer.body }
}

await suite('Renditions that nodes share', { concurrency: 2 }, async () => {
  await test('Pictures primed on one node have their first views on others without a render, all at once, with equal validators', async (t) => {
    const { first, others } = await startNodes(t, 3, { PRIME_SIZES: '64w' })
    const pictures = await Promise.all(Array.from({ length: PICTURES }, (_, at) => noisePicture(at + 1, 200, 150)))
    for (const { bytes } of pictures) assert.equal((await post(first.url, bytes)).status, 201)
    await backgroundIsDone(first)
    const before = await renders(first)
    const paths = pictures.map(({ id }) => `/image/${id}/64w`)
    for (const kind of ['avif', 'webp', 'other'] as const) {
      const made = await Promise.all(paths.map((path) => viewAs(first, path, kind)))
      for (const node of others) {
        assert.deepEqual(await Promise.all(paths.map((path) => viewAs(node, path, kind))), made)
      }
    }
    assert.equal(await renders(first), before)
    assert.deepEqual(await Promise.all(others.map(renders)), [0, 0])
    assert.deepEqual(await Promise.all(others.map(hits)), [3 * PICTURES, 3 * PICTURES])
  })

  await test('A costly rendition is rendered by one node only, and a cheap one is not written', async (t) => {
    const { first, others, shared } = await startNodes(t, 3)
    const id = await uploadFixture(first.url, 'dandelion.gif')
    const made = await viewAs(first, `/image/${id}/200w/a.gif`, 'other')
    const cheap = await uploadFixture(first.url, 'mountains.jpg')
    await viewAs(first, `/image/${cheap}/100w/a.jpg`, 'other')
    await backgroundIsDone(first)
    assert.equal((await shared()).length, 1)
    for (const node of others) {
      assert.deepEqual(await viewAs(node, `/image/${id}/200w/a.gif`, 'other'), made)
      await viewAs(node, `/image/${cheap}/100w/a.jpg`, 'other')
      assert.equal(await renders(node), 1)
      assert.equal(await node.metric('darkroom_shared_rendition_misses_total'), 0)
    }
  })

  await test('A deleted or purged picture leaves the store, and is not brought back by it', async (t) => {
    const { first, others, shared } = await startNodes(t, 2, { PRIME_SIZES: '100w' })
    const [other = first] = others
    const path = (id: string) => `/image/${id}/100w/a.jpg`
    const [deleted, purged] = await Promise.all(
      ['mountains.jpg', 'dogs-grey.jpg'].map((name) => uploadFixture(first.url, name)),
    )
    await backgroundIsDone(first)
    const before = await shared()
    for (const id of [deleted, purged]) {
      assert.equal(before.filter((key) => key.includes(`/${id}/`)).length, 3)
      await viewAs(other, path(String(id)), 'other')
    }
    assert.equal(await renders(other), 0)
    assert.equal(
      (await ask(`${first.url}/images/${deleted}`, { method: 'DELETE', headers: AUTHORIZATION })).status,
      204,
    )
    const headers = { ...AUTHORIZATION, 'Content-Type': 'application/json' }
    const body = JSON.stringify({ ids: [purged] })
    assert.equal((await ask(`${first.url}/purge`, { method: 'POST', headers, body })).status, 202)
    while ((await ask(`${other.url}${path(String(deleted))}`)).status !== 410) await delay(50)
    while ((await renders(other)) === 0) {
      await viewAs(other, path(String(purged)), 'other')
      await delay(50)
    }
    await backgroundIsDone(first)
    while ((await shared()).some((key) => before.includes(key) && key.includes(`/${deleted}/`))) await delay(50)
  })
})
