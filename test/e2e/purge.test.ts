import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { renditionFolder } from '../../src/domain/stored/cache-layout.ts'
import { type Colour, colourOf, flatPicture } from '../../tools/pictures/flat-picture.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { newBucket } from '../../tools/s3/s3-bucket.ts'
import { backgroundIsDone, fixture } from '../../tools/servers/darkroom.ts'
import { startRemoteSite } from '../../tools/servers/remote-site.ts'
import { AUTHORIZATION, newStore, type Site, startSite, temporaryFolder } from '../../tools/servers/site.ts'

async function purge(origin: string, lists: object): Promise<Record<string, unknown>> {
  const headers = { ...AUTHORIZATION, 'Content-Type': 'application/json' }
  const { status, body } = await rawRequest(origin, '/purge', { method: 'POST', headers, body: JSON.stringify(lists) })
  assert.equal(status, 202, body.toString())
  return jsonFields(body)
}

/** Uploads pictures of these widths. @returns their ids. */
async function uploadPictures(origin: string, widths: readonly number[], query: string): Promise<string[]> {
  const ids: string[] = []
  for (const width of widths) {
    const headers = { ...AUTHORIZATION, 'Content-Type': 'image/jpeg' }
    const options = { method: 'POST', headers, body: await flatPicture('red', { width }) }
    const { body } = await rawRequest(origin, `/images${query}`, options)
    ids.push(String(jsonFields(body).id))
  }
  return ids
}

/** Views each picture, and waits until its rendition is on the disk. */
async function view({ url, node }: Site, paths: readonly string[]): Promise<void> {
  for (const path of paths) assert.equal((await rawRequest(url, path)).status, 200, path)
  await backgroundIsDone(node)
}

async function until(isIt: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + 15_000
  while (!(await isIt())) {
    assert.ok(performance.now() < deadline, what)
    await delay(20)
  }
}

const viewOf = (id: string): string => `/image/${id}/40w/x.webp`

/** Whether this node has renditions of the image that a request could find. */
function has({ node }: Site, id: string): boolean {
  return existsSync(join(node.cacheDir, 'renditions', renditionFolder(id)))
}

test('A purge by label or by id reaches the disks of all nodes, and the pictures are rendered again', async (t) => {
  const { env } = await newStore()
  const sites = [await startSite(t, env), await startSite(t, env)] as const
  const cats = await uploadPictures(sites[0].url, [60, 61, 62, 63, 64], '?labels=cats')
  const [dog = '', bird = ''] = await uploadPictures(sites[0].url, [70, 71], '?labels=others')
  const all = [...cats, dog, bird]
  for (const site of sites) await view(site, all.map(viewOf))
  assert.ok(sites.every((site) => all.every((id) => has(site, id))))

  assert.deepEqual(await purge(sites[1].url, { labels: ['cats', 'unknown'], ids: [dog] }), {
    accepted: { ids: 1, labels: 2 },
  })
  const isGone = () => sites.every((site) => [...cats, dog].every((id) => !has(site, id)))
  await until(isGone, 'all nodes forget the pictures')
  assert.ok(sites.every((site) => has(site, bird)))
  // For a second, nginx may still send a file that it has open.
  const isThereAgain = async () => {
    for (const site of sites) await view(site, all.map(viewOf))
    return sites.every((site) => all.every((id) => has(site, id)))
  }
  await until(isThereAgain, 'all nodes render the pictures again')
})

test('After a purge by key, prefix, URL or host, the bucket and the host are asked again', async (t) => {
  const { env, origin, pages } = await startRemoteSite(t)
  const { file, put } = await startBucket(t)
  const { url } = await startSite(t, { ...env, ...file })
  const objects = ['2023/a.jpg', '2024/a.jpg', '2024/b.jpg']
  const images = ['/a.jpg', '/b.jpg']
  const paths = [
    ...objects.map((key) => `/s3/photos/${key}/-/40w/x.jpg`),
    ...images.map((name) => `/image?url=${encodeURIComponent(origin + name)}&size=40w&format=webp`),
  ]
  const paint = async (colour: Colour) => {
    const body = await flatPicture(colour)
    for (const key of objects) await put(key, body)
    for (const name of images) pages.set(name, { body, headers: { 'Cache-Control': 'max-age=86400' } })
  }
  const colours = async () =>
    await Promise.all(paths.map(async (path) => await colourOf((await rawRequest(url, path)).body)))
  const become = async (wanted: string) =>
    await until(async () => (await colours()).join(' ') === wanted, `the pictures become ${wanted}`)

  await paint('red')
  await become('red red red red red')
  await paint('blue')
  await become('red red red red red')
  await purge(url, { prefixes: ['photos/2024/'] })
  await become('red blue blue red red')
  await purge(url, { keys: ['photos/2023/a.jpg'], urls: [`${origin}/a.jpg`] })
  await become('blue blue blue blue red')
  await purge(url, { hosts: [new URL(origin).host] })
  await become('blue blue blue blue blue')
})

/** A bucket of the real S3 server, served as "photos". */
async function startBucket(t: TestContext) {
  const { bucket, endpoint, region, credentials } = await newBucket()
  const client = new S3Client({ endpoint, region, forcePathStyle: true, ...(credentials && { credentials }) })
  t.after(() => client.destroy())
  const BUCKETS_FILE = join(await temporaryFolder(t), 'buckets.yaml')
  const text = `buckets:
  photos:
    bucket: ${bucket}
    endpoint: ${endpoint}
    accessKeyId: $PHOTOS_KEY
    secretAccessKey: $PHOTOS_SECRET
    freshSeconds: 3600
`
  await writeFile(BUCKETS_FILE, text)
  return {
    file: {
      BUCKETS_FILE,
      PHOTOS_KEY: String(credentials?.accessKeyId),
      PHOTOS_SECRET: String(credentials?.secretAccessKey),
    },
    put: (key: string, body: Buffer) => client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body })),
  }
}

test('A viewer notices nothing of purges while it looks at new and known sizes', async (t) => {
  const site = await startSite(t)
  const headers = { ...AUTHORIZATION, 'Content-Type': 'image/jpeg' }
  const upload = { method: 'POST', headers, body: await fixture('mountains.jpg') }
  const id = String(jsonFields((await rawRequest(site.url, '/images', upload)).body).id)
  const end = new AbortController()
  const statuses: number[] = []
  const viewer = async () => {
    for (let turn = 0; !end.signal.aborted; turn += 1) {
      const path = turn % 2 === 0 ? viewOf(id) : `/image/${id}/${41 + (turn % 150)}w/x.jpg`
      statuses.push((await rawRequest(site.url, path)).status)
    }
  }
  const viewers = [viewer(), viewer()]
  for (let round = 0; round < 8; round += 1) {
    const seen = statuses.length
    await purge(site.url, { ids: [id] })
    await until(() => statuses.length > seen + 20, 'the viewers go on')
  }
  end.abort()
  await Promise.all(viewers)
  assert.deepEqual([...new Set(statuses)], [200])
})

test('A purge needs a token and says what is wrong with it', async (t) => {
  const { url } = await startSite(t)
  const ask = async (body: string, headers = AUTHORIZATION) => {
    const { status, body: text } = await rawRequest(url, '/purge', { method: 'POST', headers, body })
    const { error, message } = jsonFields(text)
    return [status, error, String(message)] as const
  }
  const withoutToken = await rawRequest(url, '/purge', { method: 'POST', body: '{}' })
  assert.equal(withoutToken.status, 401)
  const [status, error, message] = await ask('{"prefixes": [""]}')
  assert.deepEqual([status, error], [400, 'invalid_purge'])
  assert.match(message, /^prefixes\[0\]: "" should be the alias of a bucket, a slash and a prefix/)
  assert.equal((await ask('{"keys": ["none/a.jpg"]}'))[1], 'bucket_not_found')
  assert.equal((await ask(`{"labels": ["${'x'.repeat(2 ** 19)}"]}`))[0], 400)
  assert.equal((await ask(`{"labels": ["${'x'.repeat(2 ** 20)}"]}`))[0], 413)
  assert.equal((await rawRequest(url, '/purge')).status, 405)
})
