import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { DeleteObjectCommand, HeadObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import sharp from 'sharp'
import { encodeKey } from '../../src/domain/url/picture-url.ts'
import { type Colour, colourOf, coloursOnDisk, flatPicture } from '../../tools/pictures/flat-picture.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { newBucket } from '../../tools/s3/s3-bucket.ts'
import { backgroundIsDone } from '../../tools/servers/darkroom.ts'
import { type FaultProxy, startFaultProxy } from '../../tools/servers/fault-proxy.ts'
import { AUTHORIZATION, type Site, startSite, temporaryFolder } from '../../tools/servers/site.ts'
import { awsCli } from '../support/aws-cli.ts'

/** The stated age: so long a picture that was replaced may still be seen. */
const FRESH_SECONDS = 1
const STALE_SECONDS = 0
const AGE_MS = (FRESH_SECONDS + STALE_SECONDS) * 1000

interface Stage extends Site {
  readonly proxy: FaultProxy
  put(key: string, body: Buffer): Promise<void>
  remove(key: string): Promise<void>
  etagOf(key: string): Promise<string | undefined>
  /** Copies a folder into the bucket by the AWS CLI. */
  fill(folder: string, prefix: string): Promise<void>
}

/** A site that serves a bucket of the real S3 server as "photos", behind a proxy that can break the way there. */
async function setStage(t: TestContext, env: Readonly<Record<string, string>> = {}): Promise<Stage> {
  const { bucket, endpoint, region, credentials } = await newBucket()
  const client = new S3Client({ endpoint, region, forcePathStyle: true, ...(credentials && { credentials }) })
  const proxy = await startFaultProxy({ target: endpoint })
  const file = join(await temporaryFolder(t), 'buckets.yaml')
  await writeFile(
    file,
    `buckets:
  photos:
    bucket: ${bucket}
    endpoint: ${proxy.endpoint}
    accessKeyId: $PHOTOS_KEY
    secretAccessKey: \${PHOTOS_SECRET}
    freshSeconds: ${FRESH_SECONDS}
    staleWhileRevalidateSeconds: ${STALE_SECONDS}
    staleIfErrorSeconds: 60
`,
  )
  const secrets = { PHOTOS_KEY: String(credentials?.accessKeyId), PHOTOS_SECRET: String(credentials?.secretAccessKey) }
  const site = await startSite(t, { BUCKETS_FILE: file, ...secrets, ...env })
  t.after(async () => {
    client.destroy()
    await proxy.stop()
  })
  return {
    ...site,
    proxy,
    async put(key, body) {
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }))
    },
    async remove(key) {
      await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }))
    },
    etagOf: async (key) => (await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }))).ETag,
    async fill(folder, prefix) {
      const { accessKeyId = '', secretAccessKey = '' } = typeof credentials === 'object' ? credentials : {}
      const access = { endpoint, region, accessKeyId, secretAccessKey }
      await awsCli(access, ['s3', 'cp', '--recursive', '--only-show-errors', folder, `s3://${bucket}/${prefix}`])
    },
  }
}

const KEYS = [
  'plain.jpg',
  'a b/c+d.jpg',
  'a%2Fb.jpg',
  'caf\u00e9.jpg',
  'cafe\u0301.jpg',
  '.hidden/..x.jpg',
  'a//b.jpg',
  '/a.jpg',
  'x/-/400w/-/y.jpg',
  'a?b#c&d=e;f:g@h"i\'j.jpg',
  '\u{1f408}/%25.jpg',
  'without an extension',
  `${`${'\u00e9'.repeat(127)}/`.repeat(4)}\u00e9\u00e9`,
]

test('Every key of a bucket is served, to the letter', async (t) => {
  const { url, put } = await setStage(t)
  await Promise.all(KEYS.map(async (key, index) => put(key, await flatPicture(index % 2 === 0 ? 'red' : 'blue'))))
  for (const [index, key] of KEYS.entries()) {
    const { status, body } = await rawRequest(url, `/s3/photos/${encodeKey(key)}/-/40w/x.png`)
    assert.equal(status, 200, key)
    assert.equal(await colourOf(body), index % 2 === 0 ? 'red' : 'blue', key)
  }
  // Nothing of these has been put there.
  for (const path of ['a%20b/c%20d.jpg', 'a%252fb.jpg', 'plain.JPG', 'cafe.jpg']) {
    const { status, headers, body } = await rawRequest(url, `/s3/photos/${path}/-/40w`)
    assert.deepEqual([status, jsonFields(body).error], [404, 'original_not_found'], path)
    assert.equal(headers['cache-control'], 'public, max-age=5')
  }
})

test('An alias that is not configured is told apart from an image that is not there', async (t) => {
  const { url } = await setStage(t)
  for (const path of [
    '/s3/others/plain.jpg/-/40w',
    '/s3/others/plain.jpg/-/40w/x.jpg',
    '/s3/others/plain.jpg/-/info',
  ]) {
    const { status, body } = await rawRequest(url, path)
    const { error, message } = jsonFields(body)
    assert.deepEqual([status, error], [404, 'bucket_not_found'], path)
    assert.match(String(message), /^Unknown bucket alias "others": .*BUCKETS_FILE$/)
    assert.doesNotMatch(String(message), /photos/)
  }
  const { body } = await rawRequest(url, '/s3/photos/plain.jpg/-/40w')
  assert.equal(jsonFields(body).error, 'original_not_found')
})

/** As files may be called. */
const FILES = [
  'plain.jpg',
  'a b/c+d.jpg',
  'a%2Fb.jpg',
  'caf\u00e9.jpg',
  'cafe\u0301.jpg',
  '.hidden/..x.jpg',
  '\u{1f408}/a?b#c&d=e.jpg',
  `it's "quoted".jpg`,
  'without an extension',
]
/** More than the eight mebibytes from which on the AWS CLI uploads in parts. */
const IN_PARTS = 'in parts.png'

test('A bucket that another program fills is served at once', async (t) => {
  const { url, fill, etagOf } = await setStage(t)
  const folder = await temporaryFolder(t)
  const large = sharp({ create: { width: 2000, height: 1500, channels: 3, background: 'green' } })
  await writeFile(join(folder, IN_PARTS), await large.png({ compressionLevel: 0 }).toBuffer())
  for (const [index, name] of FILES.entries()) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), await flatPicture(index % 2 === 0 ? 'red' : 'blue'))
  }
  await fill(folder, 'from a folder/')
  assert.match(String(await etagOf(`from a folder/${IN_PARTS}`)), /^"[0-9a-f]{32}-2"$/)
  const shown = [...FILES, IN_PARTS].map(async (name) => {
    const { status, body } = await rawRequest(url, `/s3/photos/${encodeKey(`from a folder/${name}`)}/-/40w/x.webp`)
    return [name, status === 200 ? await colourOf(body) : status]
  })
  const colours = FILES.map((name, index) => [name, index % 2 === 0 ? 'red' : 'blue'])
  assert.deepEqual(await Promise.all(shown), [...colours, [IN_PARTS, 'green']])
})

test('An answer says honestly how long it may be used, and is the same from nginx and from the node', async (t) => {
  const { url, node, put } = await setStage(t)
  await put('a b.jpg', await flatPicture('red'))
  const path = '/s3/photos/a%20b.jpg/-/100s'
  const first = await rawRequest(url, path)
  assert.equal(first.status, 200)
  const { etag = '', age, ...headers } = first.headers
  assert.equal(headers['cache-control'], 'public, max-age=1, stale-if-error=60')
  assert.match(String(age), /^[01]$/)
  assert.match(String(headers['cache-tag']), /^r[0-9a-f]{40},photos,photos\/a%20b\.jpg$/)
  assert.equal(headers['content-type'], 'image/jpeg')
  assert.equal(headers.vary, 'Accept')
  assert.equal(headers['x-content-type-options'], 'nosniff')
  assert.ok(Math.abs(Date.parse(String(headers['last-modified'])) - Date.now()) < 60_000)

  const direct = await rawRequest(node.url, path, { headers: { 'X-Render-Again': '1' } })
  for (const name of [
    'etag',
    'last-modified',
    'cache-control',
    'cache-tag',
    'vary',
    'content-type',
    'access-control-allow-origin',
  ]) {
    assert.equal(direct.headers[name], first.headers[name], name)
  }
  assert.deepEqual(direct.body, first.body)
  assert.equal((await rawRequest(url, path, { method: 'HEAD' })).headers.etag, etag)
  const again = await rawRequest(url, path, { headers: { 'If-None-Match': etag } })
  assert.deepEqual([again.status, again.headers.etag, again.headers['cache-tag']], [304, etag, headers['cache-tag']])
  const part = await rawRequest(url, path, { headers: { Range: 'bytes=2-4', 'If-Range': etag } })
  assert.deepEqual([part.status, part.body], [206, first.body.subarray(2, 5)])
  const refused = await rawRequest(url, path, { headers: { Range: 'bytes=99999999-' } })
  assert.deepEqual([refused.status, refused.headers['cache-control']], [416, 'no-store'])
  assert.equal((await rawRequest(url, path, { headers: { 'If-Match': '"x"' } })).status, 412)

  const redirect = await rawRequest(url, '/s3/photos/a%20b.jpg/-/100S,cover/x.JPEG?a=b')
  assert.deepEqual([redirect.status, redirect.headers.location], [301, '/s3/photos/a%20b.jpg/-/100s/x.jpg?a=b'])
  assert.equal((await rawRequest(url, path, { method: 'POST' })).status, 405)
})

test('An object that is overwritten, deleted and restored is never seen as it was after the stated age, nor mixed', async (t) => {
  const { url, node, put, remove } = await setStage(t)
  const steps: readonly (Colour | undefined)[] = ['red', 'blue', undefined, 'blue', 'green', 'red']
  /** Since when which colour is in the bucket; the last step of a quick series counts. */
  const history: { since: number; colour: Colour | undefined }[] = []
  const step = async (colour: Colour | undefined) => {
    await (colour === undefined ? remove('x.jpg') : put('x.jpg', await flatPicture(colour)))
    history.push({ since: performance.now(), colour })
  }
  const seen: { at: number; asked: number; colour: Colour | 'another' | undefined }[] = []
  await step('red')
  const end = new AbortController()
  const viewers = [0, 1].map(async (viewer) => {
    for (let turn = 0; !end.signal.aborted; turn += 1) {
      const asked = performance.now()
      const { status, body } = await rawRequest(
        url,
        `/s3/photos/x.jpg/-/${40 + (turn % 50)}w/x.${viewer ? 'webp' : 'jpg'}`,
      )
      seen.push({ asked, at: performance.now(), colour: status === 200 ? await colourOf(body) : undefined })
      assert.ok(status === 200 || status === 404, String(status))
    }
  })
  for (const colour of steps.slice(1)) {
    await delay(AGE_MS + 300)
    await step(colour)
    // Within the same second, once more as something else and back.
    if (colour === 'green') {
      await step('blue')
      await step('green')
    }
  }
  await delay(AGE_MS + 300)
  end.abort()
  await Promise.all(viewers)
  assert.ok(seen.length > 100, String(seen.length))
  for (const { asked, at, colour } of seen) {
    // What was there at any time from the stated age before the question until the answer.
    const possible = history
      .filter(({ since }, index) => since <= at && (history[index + 1]?.since ?? Infinity) >= asked - AGE_MS - 100)
      .map((entry) => entry.colour)
    assert.ok(
      possible.includes(colour === 'another' ? undefined : colour) && colour !== 'another',
      `${colour} of ${possible.join(' ')}`,
    )
  }
  assert.deepEqual(new Set(seen.map(({ colour }) => colour)), new Set(['red', 'blue', 'green', undefined]))
  // Each version has a folder, and in it nothing of another one.
  await backgroundIsDone(node)
  const onDisk = await coloursOnDisk(node.cacheDir)
  assert.equal(onDisk.size, 3)
  for (const colours of onDisk.values()) assert.equal(colours.size, 1)
})

test('An object that is replaced while it is fetched for a rendering is rendered as what it has become', async (t) => {
  const { url, proxy, put } = await setStage(t)
  await put('x.jpg', await flatPicture('red'))
  await proxy.setFault({ kind: 'latency', ms: 700, matching: { method: /^GET$/, first: 1 } })
  const rendering = rawRequest(url, '/s3/photos/x.jpg/-/40w/x.png')
  while (!proxy.requests.some((request) => request.startsWith('GET'))) await delay(10)
  await put('x.jpg', await flatPicture('blue'))
  const { status, body } = await rendering
  assert.deepEqual([status, await colourOf(body)], [200, 'blue'])
})

test('While the bucket does not answer, what was seen goes on and the rest is unavailable', async (t) => {
  const { url, proxy, put } = await setStage(t)
  await put('x.jpg', await flatPicture('red'))
  const path = '/s3/photos/x.jpg/-/40w/x.png'
  assert.equal((await rawRequest(url, path)).status, 200)
  await proxy.setFault({ kind: 'refuse' })
  await delay(AGE_MS + 200)
  const stale = await rawRequest(url, path)
  assert.equal(stale.status, 200)
  assert.ok(Number(stale.headers.age) >= 1)
  const other = await rawRequest(url, '/s3/photos/y.jpg/-/40w')
  assert.deepEqual([other.status, jsonFields(other.body).error], [503, 'store_unavailable'])
  assert.ok(other.headers['retry-after'])
  await proxy.setFault(undefined)
  await put('x.jpg', await flatPicture('blue'))
  const deadline = performance.now() + 10_000
  while ((await colourOf((await rawRequest(url, path)).body)) !== 'blue') {
    assert.ok(performance.now() < deadline, 'the new one is seen when the bucket is back')
    await delay(100)
  }
})

test('What is known of an object is told like that of an upload', async (t) => {
  const { url, put } = await setStage(t)
  await put('x.jpg', await flatPicture('red'))
  const { status, headers, body } = await rawRequest(url, '/s3/photos/x.jpg/-/info')
  assert.equal(status, 200)
  const { width, height, format, bytes, dominantColor, frames, modifiedAt } = jsonFields(body)
  assert.deepEqual({ width, height, format, frames }, { width: 400, height: 300, format: 'jpeg', frames: 1 })
  assert.equal(bytes, (await flatPicture('red')).length)
  assert.match(String(dominantColor), /^#f[0-9a-f]0/)
  assert.ok(Date.parse(String(modifiedAt)) > 0)
  const again = await rawRequest(url, '/s3/photos/x.jpg/-/info', { headers: { 'If-None-Match': String(headers.etag) } })
  assert.equal(again.status, 304)
  assert.equal((await rawRequest(url, '/s3/photos/y.jpg/-/info')).status, 404)
})

test('Where URLs are signed, those of objects are too', async (t) => {
  const { url, put } = await setStage(t, { SIZE_POLICY: 'signed', URL_KEYS: 'a-key-of-this-test-only' })
  await put('x.jpg', await flatPicture('red'))
  for (const path of ['/s3/photos/x.jpg/-/40w', '/s3/photos/x.jpg/-/40w?s=AAAA', '/s3/photos/y.jpg/-/40w']) {
    assert.equal((await rawRequest(url, path)).status, 403, path)
  }
  assert.equal((await rawRequest(url, '/s3/photos/x.jpg/-/info')).status, 401)
  assert.equal((await rawRequest(url, '/s3/photos/x.jpg/-/info', { headers: AUTHORIZATION })).status, 200)
})

test('With SIZE_POLICY=steps a size of an object is that of its step, also while nginx knows no steps', async (t) => {
  const { url, put } = await setStage(t, { SIZE_POLICY: 'steps', SIZES: '400w,q80' })
  await put(
    'x.png',
    await sharp(await flatPicture('red'))
      .resize(200, 100, { fit: 'fill' })
      .png()
      .toBuffer(),
  )
  const step = await rawRequest(url, '/s3/photos/x.png/-/80w.png')
  for (const path of ['/s3/photos/x.png/-/50w.png', '/s3/photos/x.png/-/79w/x.png', '/s3/photos/x.png/-/80w.png']) {
    const { status, headers, body } = await rawRequest(url, path)
    assert.deepEqual([status, headers.etag, body], [200, step.headers.etag, step.body], path)
  }
  const { width } = await sharp(step.body).metadata()
  assert.equal(width, 80)
  assert.equal((await rawRequest(url, '/s3/photos/x.png/-/50w,q9.png')).status, 403)
})
