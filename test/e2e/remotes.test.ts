import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import sharp from 'sharp'
import { assertAlike } from '../../tools/pictures/perceive.ts'
import { assertPicture } from '../../tools/pictures/picture.ts'
import { filesBelow } from '../../tools/requests/ask.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { fixture } from '../../tools/servers/darkroom.ts'
import { startRemoteSite } from '../../tools/servers/remote-site.ts'
import { type Site, startSite } from '../../tools/servers/site.ts'

function pathOf(url: string, query = ''): string {
  return `/image?url=${encodeURIComponent(url)}${query}`
}

/** What a node has on its disk of remote images. */
async function kept({ node }: Site): Promise<string[]> {
  const folders = ['renditions', 'originals', 'mezzanines'].map((folder) => join(node.cacheDir, folder, 'version'))
  return (await Promise.all(folders.map(filesBelow))).flat()
}

test('An image of an allowed host is served at any size, and nothing else of its answer', async (t) => {
  const { env, host, origin, pages } = await startRemoteSite(t)
  const photograph = await fixture('mountains.jpg')
  pages.set('/a%20b.jpg?c=d', { body: photograph, headers: { 'Cache-Control': 'max-age=100', ETag: '"1"', Age: '10' } })
  const { url } = await startSite(t, env)
  const path = pathOf(`${origin}/a%20b.jpg?c=d`, '&size=120w&format=webp')
  const { status, headers, body } = await rawRequest(url, path)
  assert.equal(status, 200)
  await assertPicture(body, { format: 'webp', width: 120 })
  await assertAlike(body, photograph)
  assert.match(String(headers['cache-control']), /^public, max-age=90, stale-if-error=\d+$/)
  assert.equal(headers['set-cookie'], undefined)
  assert.equal(headers['x-secret'], undefined)
  assert.match(String(headers['cache-tag']), /^r[0-9a-f]{40},images\.test,http:\/\/images\.test:\d+\/a%20b\.jpg\?c=d$/)
  assert.equal((await rawRequest(url, path, { headers: { 'If-None-Match': String(headers.etag) } })).status, 304)
  assert.equal((await rawRequest(url, path, { headers: { Cookie: 'x=y', 'X-Forwarded-For': '1.2.3.4' } })).status, 200)
  assert.equal(host.requests.length, 1)
  assert.equal(host.requests[0]?.headers.host, `images.test:${host.port}`)
  for (const name of ['cookie', 'x-forwarded-for', 'authorization', 'referer']) {
    assert.equal(host.requests[0]?.headers[name], undefined, name)
  }

  const negotiated = await rawRequest(url, pathOf(`${origin}/a%20b.jpg?c=d`, '&size=120w'), {
    headers: { Accept: 'image/webp' },
  })
  assert.deepEqual([negotiated.headers['content-type'], negotiated.headers.vary], ['image/webp', 'Accept'])
  const info = await rawRequest(url, pathOf(`${origin}/a%20b.jpg?c=d`, '&size=info'))
  const { format, bytes, thumbHash } = jsonFields(info.body)
  assert.deepEqual([format, bytes, typeof thumbHash], ['jpeg', photograph.length, 'string'])
  assert.equal(host.requests.length, 1)
})

test('Without a size it is as large as it came, compressed', async (t) => {
  const { env, origin, pages } = await startRemoteSite(t)
  const photograph = await sharp(await fixture('mountains.jpg'))
    .jpeg({ quality: 100 })
    .toBuffer()
  pages.set('/a.jpg', { body: photograph })
  const { url } = await startSite(t, env)
  const { headers, body } = await rawRequest(url, pathOf(`${origin}/a.jpg`))
  assert.equal(headers['content-type'], 'image/jpeg')
  assert.ok(body.length < photograph.length)
  await assertAlike(body, photograph)
})

test('Other spellings of size and format are redirected, and what cannot be served says why', async (t) => {
  const { env, host, origin, pages } = await startRemoteSite(t)
  pages.set('/a.jpg', { body: await fixture('mountains.jpg') })
  const { url } = await startSite(t, env)
  const redirect = await rawRequest(url, pathOf(`${origin}/a.jpg`, '&size=90H120W&format=JPEG&x=y'))
  assert.equal(redirect.status, 301)
  assert.match(String(redirect.headers.location), /^\/image\?url=[^&]+&size=120w90h&format=jpg&x=y$/)
  assert.equal((await rawRequest(url, String(redirect.headers.location))).status, 200)
  const REFUSED = [
    ['/image', 400, 'invalid_path'],
    [pathOf('images.test/a.jpg'), 400, 'invalid_path'],
    [pathOf('http://u:p@images.test/a.jpg'), 400, 'invalid_path'],
    [pathOf('http://other.test/a.jpg'), 403, 'remote_not_allowed'],
    [pathOf('http://images.test/a.jpg'), 403, 'remote_not_allowed'],
    [pathOf('http://127.0.0.1/a.jpg'), 403, 'remote_not_allowed'],
    [pathOf(`${origin}/b.jpg`), 404, 'original_not_found'],
    [pathOf(`${origin}/a.jpg`, '&size=400'), 400, 'invalid_path'],
  ] as const
  for (const [path, status, code] of REFUSED) {
    const { status: answered, headers, body } = await rawRequest(url, path)
    assert.deepEqual([answered, jsonFields(body).error], [status, code], path)
    assert.match(String(headers['cache-control']), status === 404 ? /max-age=5/ : /no-store/)
  }
  assert.equal(host.requests.length, 2)
})

test('Its host may vanish, and so may the node that fetched it', async (t) => {
  const { env, host, origin, pages } = await startRemoteSite(t)
  pages.set('/a.jpg', { body: await fixture('mountains.jpg'), headers: { 'Cache-Control': 'max-age=0' } })
  const first = await startSite(t, env)
  assert.equal((await rawRequest(first.url, pathOf(`${origin}/a.jpg`, '&size=120w'))).status, 200)
  await first.node.stop()
  pages.set('/a.jpg', { body: Buffer.from('Sorry'), status: 500 })
  const second = await startSite(t, env)
  const { status, body } = await rawRequest(second.url, pathOf(`${origin}/a.jpg`, '&size=100w&format=png'))
  assert.equal(status, 200)
  await assertPicture(body, { format: 'png', width: 100 })
  assert.equal(host.requests.length, 2)
})

test('What the host lets nobody keep is shown, and nothing of it stays', async (t) => {
  const { env, host, origin, pages } = await startRemoteSite(t)
  for (const [index, directive] of ['no-store', 'private'].entries()) {
    pages.set(`/${index}.jpg`, {
      body: await fixture('mountains.jpg'),
      headers: { 'Cache-Control': directive, ETag: '"1"' },
    })
  }
  const site = await startSite(t, env)
  for (const index of [0, 1, 0]) {
    const { status, headers, body } = await rawRequest(site.url, pathOf(`${origin}/${index}.jpg`, '&size=100w'))
    assert.deepEqual([status, headers['cache-control']], [200, 'no-store'])
    await assertPicture(body, { format: 'jpeg', width: 100 })
  }
  assert.equal(host.requests.length, 3)
  assert.deepEqual(await kept(site), [])
  assert.deepEqual(await filesBelow(join(String(env['STORE']).slice('file:'.length), 'remotes')), [])
})

test('What is no image, or a broken one, is told as such, and nothing of it stays', async (t) => {
  const { env, origin, pages } = await startRemoteSite(t)
  const photograph = await fixture('mountains.jpg')
  pages.set('/page.jpg', { body: Buffer.from('<!doctype html><title>Sorry</title>') })
  pages.set('/svg.jpg', { body: Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>') })
  pages.set('/cut.jpg', { body: photograph.subarray(0, photograph.length / 2) })
  pages.set('/zipped.jpg', { body: photograph, headers: { 'Content-Encoding': 'gzip' } })
  const site = await startSite(t, env)
  const FAILURES = [
    ['/page.jpg', 502, 'remote_failed'],
    ['/svg.jpg', 502, 'remote_failed'],
    ['/zipped.jpg', 502, 'remote_failed'],
    ['/cut.jpg', 422, 'original_broken'],
  ] as const
  for (const [path, status, code] of FAILURES) {
    const { status: answered, headers, body } = await rawRequest(site.url, pathOf(`${origin}${path}`, '&size=100w'))
    assert.deepEqual([answered, jsonFields(body).error, headers['cache-control']], [status, code, 'no-store'], path)
  }
  assert.deepEqual(
    (await kept(site)).filter((file) => /\.\w+$/.test(file)),
    [],
  )
})
