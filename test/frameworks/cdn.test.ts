import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { type RawRequest, rawRequest } from '../../tools/requests/raw-request.ts'
import { newBucket } from '../../tools/s3/s3-bucket.ts'
import { fixture, upload, uploadFixture } from '../../tools/servers/darkroom.ts'
import { AUTHORIZATION, startSite, TOKEN } from '../../tools/servers/site.ts'
import { writeBucketsFile } from '../support/buckets-file.ts'
import { assertBlocksAreIn } from '../support/doc-blocks.ts'
import { startVarnish } from '../support/varnish.ts'

const EXAMPLES = resolve(import.meta.dirname, '../../examples/cdn')
const CHROME = 'image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8'
const FIREFOX = 'image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5'
const OLD_SAFARI = 'image/webp,image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5'
const CURL = '*/*'

test('docs/recipes/cdn.md shows the code of the example', async () => {
  await assertBlocksAreIn('docs/recipes/cdn.md', 'examples/cdn')
})

test('Varnish keeps one copy for each class of Accept, and one of a URL that names its format', async (t) => {
  const { site, cdn } = await startCdn(t)
  const id = await uploadFixture(site.url, 'mountains.jpg')
  const negotiated = `/image/${id}/400w`
  const first = await ask(cdn, negotiated, { headers: { Accept: OLD_SAFARI } })
  assert.deepEqual([first.status, first.type, first.isHit, first.headers.vary], [200, 'image/webp', false, 'Accept'])
  const again = await ask(cdn, negotiated, { headers: { Accept: 'image/webp' } })
  assert.deepEqual([again.type, again.isHit], ['image/webp', true])
  await ask(cdn, negotiated, { headers: { Accept: CHROME } })
  const modern = await ask(cdn, negotiated, { headers: { Accept: FIREFOX } })
  assert.equal(modern.isHit, true)
  const plain = await ask(cdn, negotiated, { headers: { Accept: CURL } })
  assert.deepEqual([plain.type, plain.isHit], ['image/jpeg', false])
  const refuses = await ask(cdn, negotiated, { headers: { Accept: 'image/webp;q=0,image/avif;q=0,*/*' } })
  assert.deepEqual([refuses.type, refuses.isHit], ['image/jpeg', true])

  await ask(cdn, `/image/${id}/400w.webp`, { headers: { Accept: CURL } })
  const named = await ask(cdn, `/image/${id}/400w.webp`, { headers: { Accept: CHROME, Cookie: 'a=b' } })
  assert.deepEqual([named.type, named.isHit, named.headers.vary], ['image/webp', true, undefined])
  const range = await ask(cdn, `/image/${id}/400w.webp`, { headers: { Range: 'bytes=0-9' } })
  assert.deepEqual([range.status, range.body.length], [206, 10])
})

test('A deletion with the example purges all sizes of the picture from Varnish, and no other picture', async (t) => {
  const { site, cdn } = await startCdn(t)
  const id = await uploadFixture(site.url, 'mountains.jpg')
  const other = await uploadFixture(site.url, 'fig-alpha.png')
  const gone = [`/image/${id}/400w`, `/image/${id}/200s.webp`, `/image/${id}/100w/a.jpg`]
  const kept = `/image/${other}/100w.webp`
  for (const path of [...gone, kept]) {
    await ask(cdn, path)
    assert.deepEqual([path, (await ask(cdn, path)).isHit], [path, true])
  }
  const env = { ...process.env, DARKROOM_URL: site.url, DARKROOM_TOKEN: TOKEN, VARNISH_URL: cdn }
  const program = spawn(process.execPath, ['delete-picture.mjs', id], { cwd: EXAMPLES, env, stdio: 'inherit' })
  assert.deepEqual(await once(program, 'exit'), [0, null])
  for (const path of gone) assert.deepEqual([path, (await ask(cdn, path)).status], [path, 410])
  assert.equal((await ask(cdn, kept)).isHit, true)
  // A 410 is not kept: the same bytes may be uploaded again.
  await uploadFixture(site.url, 'mountains.jpg')
  for (const path of gone) assert.deepEqual([path, (await ask(cdn, path)).status], [path, 200])
})

test('Only the addresses of the list may purge', async (t) => {
  const { site, cdn } = await startCdn(t)
  const id = await uploadFixture(site.url, 'mountains.jpg')
  await ask(cdn, `/image/${id}/400w.webp`)
  const purge = { method: 'PURGE', headers: { 'X-Cache-Tag': id } }
  assert.equal((await ask(cdn, '/', { ...purge, from: '127.0.0.2' })).status, 403)
  assert.equal((await ask(cdn, `/image/${id}/400w.webp`)).isHit, true)
  assert.equal((await ask(cdn, '/', purge)).status, 200)
  assert.equal((await ask(cdn, `/image/${id}/400w.webp`)).isHit, false)
})

test('Varnish keeps no errors, no records, and nothing that was requested with a token', async (t) => {
  const { site, cdn } = await startCdn(t)
  const picture = await fixture('mountains.jpg')
  const uploaded = await upload(cdn, picture)
  assert.equal(uploaded.status, 201)
  const id = await uploadFixture(site.url, 'mountains.jpg')
  for (const path of [`/image/${id}/400x`, `/images/${id}`, '/image?url=https%3A%2F%2Fa.example%2Fa.jpg&size=40w']) {
    await ask(cdn, path)
    assert.deepEqual([path, (await ask(cdn, path)).isHit], [path, false])
  }
  const info = `/images/${id}/info`
  const full = await ask(cdn, info, { headers: AUTHORIZATION })
  assert.match(full.body.toString(), /"metadata"/)
  assert.doesNotMatch((await ask(cdn, info)).body.toString(), /"metadata"/)
  assert.equal((await ask(cdn, `/images/${id}/original`)).status, 401)
})

test('Varnish serves what it has while the node is away, and does not keep the failure of the rest', async (t) => {
  const { site, cdn } = await startCdn(t)
  const id = await uploadFixture(site.url, 'mountains.jpg')
  await ask(cdn, `/image/${id}/400w.webp`)
  await site.node.stop()
  await site.nginx.stop()
  assert.deepEqual([(await ask(cdn, `/image/${id}/400w.webp`)).status], [200])
  assert.equal((await ask(cdn, `/image/${id}/300w.webp`)).status, 503)
})

test('Varnish serves an object of a bucket stale while it revalidates, but only if its headers allow it', async (t) => {
  const { bucket, endpoint, region, credentials } = await newBucket()
  const client = new S3Client({ endpoint, region, forcePathStyle: true, ...(credentials && { credentials }) })
  t.after(() => client.destroy())
  const put = async (name: string) =>
    await client.send(new PutObjectCommand({ Bucket: bucket, Key: 'a.jpg', Body: await fixture(name) }))
  await put('mountains.jpg')
  const alias = (staleWhileRevalidateSeconds: number) => ({
    bucket,
    endpoint,
    accessKeyId: '$ID',
    secretAccessKey: '$SECRET',
    freshSeconds: 1,
    staleWhileRevalidateSeconds,
  })
  const file = await writeBucketsFile(t, { photos: alias(3600), strict: alias(0) })
  const secrets = { ID: String(credentials?.accessKeyId), SECRET: String(credentials?.secretAccessKey) }
  const { cdn } = await startCdn(t, { BUCKETS_FILE: file, ...secrets })

  const path = '/s3/photos/a.jpg/-/40w.webp'
  const before = await ask(cdn, path)
  assert.match(String(before.headers['cache-control']), /max-age=1, stale-while-revalidate=3600/)
  await put('brushes-p3.jpg')
  for (;;) {
    const answer = await ask(cdn, path)
    assert.deepEqual([answer.status, answer.isHit], [200, true])
    if (!answer.body.equals(before.body)) break
    await delay(100)
  }
  const strict = '/s3/strict/a.jpg/-/40w.webp'
  assert.equal((await ask(cdn, strict)).isHit, false)
  // A copy that is served stale would be renewed in the background, and each answer would be a hit.
  while ((await ask(cdn, strict)).isHit) await delay(100)
})

/** A node behind its nginx, and Varnish in front of both. */
async function startCdn(t: Parameters<typeof startSite>[0], env: Readonly<Record<string, string>> = {}) {
  const site = await startSite(t, env)
  return { site, cdn: await startVarnish(t, site.url) }
}

async function ask(origin: string, path: string, options: RawRequest = {}) {
  const response = await rawRequest(origin, path, options)
  // Varnish adds the number of the request that filled its cache.
  const isHit = String(response.headers['x-varnish']).includes(' ')
  return { ...response, isHit, type: response.headers['content-type'] }
}
