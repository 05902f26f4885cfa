import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { CDN_ROWS } from '../../tools/chaos/cdn-rows.ts'
import { runRow } from '../../tools/chaos/run-row.ts'
import { flatPicture } from '../../tools/pictures/flat-picture.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { newBucket } from '../../tools/s3/s3-bucket.ts'
import { startIndexer } from '../../tools/servers/indexer.ts'
import { startRemoteSite } from '../../tools/servers/remote-site.ts'
import { AUTHORIZATION, newStore, startNodeFor, temporaryFolder } from '../../tools/servers/site.ts'
import { cdnSinks, type StandInCdn, startStandInCdn } from '../../tools/servers/stand-in-cdn.ts'

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const EVENT_TOKEN = '0123456789abcdef'

async function until(isIt: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + 60_000
  while (!(await isIt())) {
    assert.ok(performance.now() < deadline, what)
    await delay(20)
  }
}

/** Two nodes that serve a bucket and a remote host, purge both kinds of CDN, and report purges to a webhook. */
async function setUp(t: TestContext) {
  const cdn = await startStandInCdn(t)
  const { yaml, env: secrets } = cdnSinks(cdn.url)
  const webhook = await startIndexer(t, SECRET)
  const purger = `  purger:\n    url: ${webhook.url}\n    secret: $PURGER_SECRET\n    types: [image.purged]\n`
  const folder = await temporaryFolder(t)
  const { env: remote, origin, pages } = await startRemoteSite(t)
  const { bucket, endpoint, region, credentials } = await newBucket()
  const client = new S3Client({ endpoint, region, forcePathStyle: true, ...(credentials && { credentials }) })
  t.after(() => client.destroy())
  const photos = { bucket, endpoint, accessKeyId: '$PHOTOS_KEY', secretAccessKey: '$PHOTOS_SECRET' }
  await writeFile(join(folder, 'buckets.json'), JSON.stringify({ buckets: { photos } }))
  await writeFile(join(folder, 'sinks.yaml'), yaml + purger)
  const env = {
    ...remote,
    ...(await newStore()).env,
    ...secrets,
    BUCKETS_FILE: join(folder, 'buckets.json'),
    SINKS_FILE: join(folder, 'sinks.yaml'),
    PHOTOS_KEY: String(credentials?.accessKeyId),
    PHOTOS_SECRET: String(credentials?.secretAccessKey),
    PURGER_SECRET: SECRET,
    EVENT_TOKENS: EVENT_TOKEN,
    CACHE_TAG_HEADERS: 'Surrogate-Key',
  }
  const nodes = [await startNodeFor(t, { env }), await startNodeFor(t, { env })] as const
  await until(async () => {
    const held = await Promise.all(nodes.map((node) => node.metric('darkroom_relay_holder')))
    return held.includes(1)
  }, 'a node delivers')
  return {
    cdn,
    webhook,
    nodes,
    origin,
    pages,
    bucket,
    put: async (key: string, body: Buffer) =>
      void (await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }))),
  }
}

/** The tag that a CDN sees. */
async function tagOf(url: string, path: string): Promise<string> {
  const { status, headers } = await rawRequest(url, path)
  assert.equal(status, 200, path)
  return String(headers['surrogate-key'])
}

async function send(url: string, path: string, body: object, headers: Readonly<Record<string, string>>) {
  const options = { method: 'POST', headers: { ...headers, 'Content-Type': 'application/json' } }
  return (await rawRequest(url, path, { ...options, body: JSON.stringify(body) })).status
}

/** @param times By both kinds together. */
async function purged(cdn: StandInCdn, tags: readonly string[], times: number): Promise<void> {
  await until(() => tags.every((tag) => cdn.purgesOf(tag).length >= times), `the CDN purges ${tags.join()}`)
  assert.deepEqual(cdn.mistakes, [])
}

test('Purges and deletions by any node reach the APIs of Fastly and Cloudflare, with the tags of the pictures', async (t) => {
  const { cdn, webhook, nodes, origin, pages, bucket, put } = await setUp(t)
  const [{ url }, second] = nodes
  const bytes = await flatPicture('red')
  for (const key of ['2023/a.jpg', '2024/a.jpg', '2024/b.jpg']) await put(key, bytes)
  for (const name of ['/a.jpg', '/b.jpg'])
    pages.set(name, { body: bytes, headers: { 'Cache-Control': 'max-age=86400' } })
  const object = (key: string) => tagOf(url, `/s3/photos/${key}/-/40w/x.jpg`)
  const remote = (name: string) => tagOf(url, `/image?url=${encodeURIComponent(origin + name)}&size=40w&format=webp`)
  const upload = async (body: Buffer, query = '') => {
    const headers = { ...AUTHORIZATION, 'Content-Type': 'image/jpeg' }
    return String(jsonFields((await rawRequest(url, `/images${query}`, { method: 'POST', headers, body })).body).id)
  }
  const [labelled, named, deleted] = [
    await upload(await flatPicture('red', { width: 60 }), '?labels=cats'),
    await upload(await flatPicture('red', { width: 61 })),
    await upload(await flatPicture('red', { width: 62 })),
  ]
  assert.equal(await tagOf(url, `/image/${named}/40w/x.webp`), named)
  const [a, b, c] = [await object('2023/a.jpg'), await object('2024/a.jpg'), await object('2024/b.jpg')]
  const [one, other] = [await remote('/a.jpg'), await remote('/b.jpg')]
  const purge = async (lists: object) => assert.equal(await send(second.url, '/purge', lists, AUTHORIZATION), 202)

  await purge({ ids: [named], labels: ['cats'], keys: ['photos/2023/a.jpg'], urls: [`${origin}/a.jpg`] })
  await purged(cdn, [named, labelled, a, one], 2)
  assert.deepEqual([b, c, other, deleted].flatMap(cdn.purgesOf), [])
  await remote('/b.jpg')
  await purge({ prefixes: ['photos/2024/'], hosts: [new URL(origin).host] })
  await purged(cdn, [b, c, other], 2)

  const path = `/images/${deleted}`
  assert.equal((await rawRequest(second.url, path, { method: 'DELETE', headers: AUTHORIZATION })).status, 204)
  // At once: the purges of the deletion do not harm the new upload.
  assert.equal(await upload(await flatPicture('red', { width: 62 })), deleted)
  await purged(cdn, [deleted], 2)
  assert.equal(await tagOf(url, `/image/${deleted}/40w/x.webp`), deleted)

  const record = { eventName: 'ObjectCreated:Put', s3: { bucket: { name: bucket }, object: { key: '2023/a.jpg' } } }
  const authorization = { Authorization: `Bearer ${EVENT_TOKEN}` }
  assert.equal(await send(url, '/events/s3', { Records: [record] }, authorization), 204)
  // Each is purged again after some seconds, as a node may have answered the CDN once more.
  await purged(cdn, [named, labelled, one, b, c, other, deleted], 4)
  await purged(cdn, [a], 8)
  await until(() => webhook.subjects.get(a) === 2, 'the webhook receives both purges of an object')
  const tags = [named, labelled, one, b, c, other]
  assert.deepEqual(new Set(webhook.subjects.keys()), new Set([...tags, a]))
})

test('the service holds against faults of the API of a CDN', { concurrency: true }, async (t) => {
  const tests = CDN_ROWS.map((row) =>
    t.test(`fault ${row.row}: ${row.fault}`, async (each) => {
      const { verdict, figures } = await runRow(row, { short: true })
      each.diagnostic(figures)
      assert.equal(verdict, 'held', figures)
    }),
  )
  await Promise.all(tests)
})
