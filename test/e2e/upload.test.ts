import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import sharp from 'sharp'
import { createS3Store } from '../../src/adapters/s3/s3-store.ts'
import { idOf } from '../../tools/pictures/picture.ts'
import { form } from '../../tools/requests/form.ts'
import { jsonFields, type RawResponse, rawRequest } from '../../tools/requests/raw-request.ts'
import { keysOf } from '../../tools/s3/s3-bucket.ts'
import { type Darkroom, fixture, upload, uploadFixture } from '../../tools/servers/darkroom.ts'
import { startFaultProxy } from '../../tools/servers/fault-proxy.ts'
import { AUTHORIZATION, newStore, startNodeFor, startSite, TOKEN } from '../../tools/servers/site.ts'

function assertError(answer: RawResponse, status: number, code: string, about = ''): void {
  const fields = jsonFields(answer.body)
  assert.deepEqual([answer.status, fields.error], [status, code], `${about} ${String(fields.message)}`)
  assert.equal(answer.headers['cache-control'], 'no-store')
  assert.equal(answer.headers['x-content-type-options'], 'nosniff')
}

/** Uploads under way, or left behind, on the node's disk. */
async function spooled({ cacheDir }: Darkroom): Promise<string[]> {
  return (await readdir(join(cacheDir, 'tmp'))).filter((name) => name.startsWith('in-'))
}

const FILE = 'name="file"; filename="a.jpg"'

test('An upload is answered with the record and URLs that work, and the same bytes again with the same and no write', async (t) => {
  const { endpoint, env } = await newStore()
  const proxy = await startFaultProxy({ target: endpoint })
  t.after(() => proxy.stop())
  const node = await startNodeFor(t, { env: { ...env, S3_ENDPOINT: proxy.endpoint } })
  const bytes = await fixture('mountains-orientation-6.jpg')
  // What the node has made of it is written later, in the background, as is its entry; its rights it tries by a put that the store
  // refuses.
  const puts = () =>
    proxy.requests.filter((line) => /^PUT (?!.*\/(?:infos\/|mezzanines\/|nodes\/|write-probe))/.test(line)).length

  const first = await rawRequest(node.url, '/images', {
    method: 'POST',
    headers: { 'Content-Type': 'image/jpeg', ...AUTHORIZATION },
    body: bytes,
  })
  assert.equal(first.status, 201)
  const { id, uploadedAt, urls, ...facts } = jsonFields(first.body)
  assert.match(String(id), /^[0-9a-f]{40}$/)
  assert.ok(Math.abs(Date.now() - Date.parse(String(uploadedAt))) < 60_000)
  assert.deepEqual(facts, { width: 1200, height: 900, format: 'jpeg', bytes: bytes.length, alpha: false, frames: 1 })
  assert.equal(first.headers.location, `/images/${String(id)}`)
  assert.equal(puts(), 3, 'the original, the record and the event')

  const { src, srcset, record, info, original } = jsonFields(JSON.stringify(urls))
  const links = [src, record, info, original, ...String(srcset).split(', ')].map(
    (link) => String(link).split(' ')[0] ?? '',
  )
  assert.ok(links.length > 5)
  for (const link of links)
    assert.equal((await rawRequest(node.url, link, { method: 'HEAD', headers: AUTHORIZATION })).status, 200, link)

  for (const type of ['image/jpeg', 'image/png', 'application/octet-stream']) {
    const again = await rawRequest(node.url, '/images', {
      method: 'POST',
      headers: { 'Content-Type': type, ...AUTHORIZATION },
      body: bytes,
    })
    assert.equal(again.status, 200)
    assert.deepEqual(again.body, first.body)
  }
  const { headers: formHeaders, body } = form([[FILE, bytes]])
  const withToken = { ...formHeaders, ...AUTHORIZATION }
  const multipart = await rawRequest(node.url, '/images', { method: 'POST', headers: withToken, body })
  assert.deepEqual([multipart.status, multipart.body], [200, first.body])
  assert.equal(puts(), 3)

  const stored = await rawRequest(node.url, `/images/${String(id)}`)
  assert.deepEqual([stored.status, stored.body], [200, first.body])
  const headers = { 'If-None-Match': String(stored.headers.etag) }
  assert.equal((await rawRequest(node.url, `/images/${String(id)}`, { headers })).status, 304)
})

test('The labels of an upload are shown to requests with a token only, and wrong ones are refused', async (t) => {
  const node = await startNodeFor(t)
  const send = async (query: string) =>
    rawRequest(node.url, `/images${query}`, {
      method: 'POST',
      headers: { 'Content-Type': 'image/png', ...AUTHORIZATION },
      body: await fixture('fig-alpha.png'),
    })
  assertError(await send('?labels=Cats'), 400, 'invalid_upload')
  const uploaded = await send('?labels=cats+2026')
  const { id, labels } = jsonFields(uploaded.body)
  assert.deepEqual([uploaded.status, labels], [201, ['cats', '2026']])
  for (const path of [`/images/${String(id)}`, `/images/${String(id)}/info`]) {
    const open = await rawRequest(node.url, path)
    assert.deepEqual([open.status, jsonFields(open.body)['labels']], [200, undefined])
    const trusted = await rawRequest(node.url, path, { headers: AUTHORIZATION })
    assert.deepEqual(jsonFields(trusted.body)['labels'], ['cats', '2026'])
    assert.equal(trusted.headers['cache-control'], 'private, no-cache')
    assert.equal(trusted.headers.vary, 'Authorization')
  }
})

test('A form may hold one file and fields beside it; anything else is refused', async (t) => {
  const { node, url } = await startSite(t)
  const bytes = await fixture('mountains.jpg')
  const post = (origin: string, { headers, body }: ReturnType<typeof form>) =>
    rawRequest(origin, '/images', { method: 'POST', headers: { ...headers, ...AUTHORIZATION }, body })
  const whole = form([[FILE, bytes]])
  const cases = {
    'two files': form([
      [FILE, bytes],
      ['name="another"; filename="b.jpg"', bytes],
    ]),
    'no file': form([['name="title"', 'Mountains']]),
    'no part at all': form([]),
    'an end in the middle of the file': { ...whole, body: whole.body.subarray(0, 50_000) },
    'no end': { ...whole, body: whole.body.subarray(0, -6) },
    'no boundary': { headers: { 'Content-Type': 'multipart/form-data; charset=utf-8' }, body: whole.body },
    'another boundary': { headers: { 'Content-Type': 'multipart/form-data; boundary=another' }, body: whole.body },
    'no form but a picture': { headers: whole.headers, body: bytes },
    nothing: { headers: { 'Content-Type': 'image/jpeg' }, body: Buffer.alloc(0) },
    'nothing, as a form': { headers: whole.headers, body: Buffer.alloc(0) },
  }
  for (const origin of [node.url, url]) {
    for (const [about, body] of Object.entries(cases))
      assertError(await post(origin, body), 400, 'invalid_upload', about)
  }
  const withFields = form([
    ['name="title"', 'Mountains'],
    [FILE, bytes],
    ['name="tags"', 'snow, rock'],
  ])
  assert.equal((await post(url, withFields)).status, 201)
  assert.equal((await post(node.url, withFields)).status, 200)
})

test('An empty file is refused as that, raw and in a form', async (t) => {
  const node = await startNodeFor(t)
  const raw = { headers: { 'Content-Type': 'image/jpeg' }, body: Buffer.alloc(0) }
  for (const { headers, body } of [raw, form([[FILE, Buffer.alloc(0)]])]) {
    const options = { method: 'POST', headers: { ...headers, ...AUTHORIZATION }, body }
    const answer = await rawRequest(node.url, '/images', options)
    assertError(answer, 400, 'invalid_upload')
    assert.equal(jsonFields(answer.body)['message'], 'The file is empty: send an image')
  }
  assert.deepEqual(await spooled(node), [])
})

test('What is no picture, is broken, or has too many pixels or frames is refused by its content', async (t) => {
  const { node, url } = await startSite(t, { MAX_PIXELS: '400000', MAX_FRAMES: '5' })
  const jpeg = await fixture('mountains-gps.jpg')
  const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><rect/></svg>')
  const tiff = await sharp(jpeg).resize(20).tiff().toBuffer()
  const cases = [
    ['a text', 'text/plain', Buffer.from('Hello'), 415, 'original_unsupported'],
    ['a text that says it is a picture', 'image/jpeg', Buffer.from('Hello'), 415, 'original_unsupported'],
    ['a picture that says it is a text', 'text/plain', jpeg, 415, 'original_unsupported'],
    ['an SVG', 'image/svg+xml', svg, 415, 'original_unsupported'],
    ['a TIFF', 'image/jpeg', tiff, 415, 'original_unsupported'],
    ['half a JPEG', 'image/jpeg', jpeg.subarray(0, jpeg.length / 2), 422, 'original_broken'],
    ['the head of a PNG', 'image/png', (await fixture('fig-alpha.png')).subarray(0, 200), 422, 'original_broken'],
    ['1.1 MP; the limit is 0.4 MP', 'image/jpeg', await fixture('mountains.jpg'), 413, 'original_too_large'],
    ['6 frames; the limit is 5', 'image/gif', await fixture('dandelion.gif'), 413, 'original_too_large'],
  ] as const
  for (const origin of [node.url, url]) {
    for (const [about, type, body, status, code] of cases) {
      const headers = { 'Content-Type': type, ...AUTHORIZATION }
      const answer = await rawRequest(origin, '/images', { method: 'POST', headers, body })
      assertError(answer, status, code, about)
      if (status === 413) assert.ok(String(jsonFields(answer.body)['message']).includes(about))
    }
    const headers = { 'Content-Type': 'image/jpeg', 'Content-Encoding': 'gzip', ...AUTHORIZATION }
    const zipped = await rawRequest(origin, '/images', { method: 'POST', headers, body: jpeg })
    assertError(zipped, 415, 'original_unsupported', 'a Content-Encoding')
    assert.equal((await upload(origin, jpeg, 'image/webp', TOKEN)).status, origin === node.url ? 201 : 200)
  }
  assert.deepEqual(await spooled(node), [])
})

test('What decodes with errors is refused with the reason, and nothing of it is stored', async (t) => {
  const { node, url } = await startSite(t, { INPUT_FORMATS: 'jpeg tiff' })
  const cut = Buffer.concat([(await fixture('mountains.jpg')).subarray(0, 60_000), Buffer.from([0xff, 0xd9])])
  const cases = [
    ['gradient-lzma.tiff', await fixture('gradient-lzma.tiff'), /^This TIFF .* unsupported compression/],
    ['gradient-old-jpeg-tiles.tiff', await fixture('gradient-old-jpeg-tiles.tiff'), /^This TIFF .*damaged/],
    ['a JPEG that ends early', cut, /^This JPEG cannot be decoded: it is damaged or incomplete$/],
  ] as const
  for (const origin of [node.url, url]) {
    for (const [about, body, message] of cases) {
      const headers = { 'Content-Type': 'application/octet-stream', ...AUTHORIZATION }
      const refused = await rawRequest(origin, '/images', { method: 'POST', headers, body })
      assertError(refused, 422, 'original_broken', about)
      assert.match(String(jsonFields(refused.body)['message']), message)
      assert.equal((await rawRequest(origin, `/image/${idOf(body)}/20w/x.png`)).status, 404, about)
    }
    assert.ok((await upload(origin, await fixture('gradient.tiff'), 'image/tiff', TOKEN)).ok)
  }
  assert.deepEqual(await spooled(node), [])
})

test('A HEIC is refused with what to send instead, whatever it says it is, and nothing of it is stored', async (t) => {
  const { settings, env } = await newStore()
  const store = createS3Store(settings)
  t.after(() => store.close())
  const sites = [
    await startSite(t, env),
    await startSite(t, { ...env, INPUT_FORMATS: 'jpeg png webp avif gif tiff heif' }),
  ]
  const keys = () => keysOf(store, '', t.signal)
  const before = await keys()
  const heic = await fixture('mountains.heic')
  assert.match(heic.toString('latin1'), /^.{4}ftypheic.*hvc1/s)
  // A file may name its container first, and what is in it among the brands that follow.
  const generic = Buffer.from(heic.toString('latin1').replace('ftypheic', 'ftypmif1'), 'latin1')
  const raw = (type: string, body: Buffer) => ({ headers: { 'Content-Type': type }, body })
  const cases = {
    'a HEIC': raw('image/heic', heic),
    'a HEIC that says it is a JPEG': raw('image/jpeg', heic),
    'a HEIC in a form': form([['name="file"; filename="IMG_0001.HEIC"', heic]]),
    'a HEIC by another of its brands': raw('image/heif', generic),
  }
  for (const { node, url } of sites) {
    for (const origin of [node.url, url]) {
      for (const [about, { headers, body }] of Object.entries(cases)) {
        const options = { method: 'POST', headers: { ...headers, ...AUTHORIZATION }, body }
        const answer = await rawRequest(origin, '/images', options)
        assertError(answer, 415, 'original_unsupported', about)
        const { message } = jsonFields(answer.body)
        assert.match(String(message), /HEIC is not supported: send the image as JPEG or AVIF/, about)
      }
      for (const bytes of [heic, generic]) {
        assert.equal((await rawRequest(origin, `/image/${idOf(bytes)}/20w/x.jpg`)).status, 404)
        assert.equal((await rawRequest(origin, `/images/${idOf(bytes)}`)).status, 404)
      }
    }
    assert.deepEqual(await spooled(node), [])
    assert.ok((await node.log()).every(({ level }) => level !== 'error' && level !== 'warn'))
  }
  assert.deepEqual(await keys(), before)
  // The same bucket would have taken it.
  assert.equal((await upload(sites[0]?.url ?? '', await fixture('stream.avif'), 'image/avif', TOKEN)).status, 201)
  const taken = (await keys()).filter((key) => !/^(?:infos|mezzanines)\//.test(key))
  assert.equal(taken.length, before.length + 3)
})

test('Too many bytes are 413 with and without a length, in a form, and by nginx’s own limit', async (t) => {
  const site = { 'client_max_body_size 65m;': 'client_max_body_size 6m;' }
  const { node, url } = await startSite(t, { MAX_UPLOAD_BYTES: '100K' }, { site })
  const mountains = await fixture('mountains.jpg')
  const photograph = Buffer.concat([mountains, Buffer.alloc(5_000_000 - mountains.length)])
  const chunked = { 'Transfer-Encoding': 'chunked' }
  // Who says that the connection ends here may find it closed before all is sent, and the answer lost.
  const writer = { ...AUTHORIZATION, Connection: 'keep-alive' }
  for (const origin of [node.url, url]) {
    for (const body of [photograph.subarray(0, 102_401), photograph]) {
      for (const more of [{}, chunked]) {
        const headers = { 'Content-Type': 'image/jpeg', ...writer, ...more }
        const answer = await rawRequest(origin, '/images', { method: 'POST', headers, body })
        assertError(answer, 413, 'original_too_large', `${body.length} ${JSON.stringify(more)}`)
        assert.match(String(jsonFields(answer.body)['message']), /(?:100 KiB|102400 bytes).*\(MAX_UPLOAD_BYTES\)$/)
      }
      const { headers, body: formBody } = form([[FILE, body]])
      const options = { method: 'POST', headers: { ...headers, ...writer }, body: formBody }
      assertError(await rawRequest(origin, '/images', options), 413, 'original_too_large', `${body.length} in a form`)
    }
  }
  const headers = { 'Content-Type': 'image/jpeg', ...writer }
  const body = Buffer.alloc(7_000_000)
  assertError(await rawRequest(url, '/images', { method: 'POST', headers, body }), 413, 'original_too_large', 'nginx')
  assert.deepEqual(await spooled(node), [])
  assert.equal((await upload(url, await fixture('dandelion.gif'), 'image/gif', TOKEN)).status, 201)
})

test('An upload with a parameter that does not exist is refused and stores nothing, and other routes ignore theirs', async (t) => {
  const { node, url } = await startSite(t)
  const body = await fixture('fig-alpha.png')
  const post = (origin: string, path: string) =>
    rawRequest(origin, path, { method: 'POST', headers: { 'Content-Type': 'image/png', ...AUTHORIZATION }, body })
  for (const origin of [node.url, url]) {
    const answer = await post(origin, '/images?size=40w')
    assertError(answer, 400, 'invalid_upload')
    assert.match(String(jsonFields(answer.body)['message']), /^"size" is not .*: did you mean "sizes"\?$/)
    assertError(await post(origin, '/images?v=3'), 400, 'invalid_upload')
    assert.equal((await rawRequest(origin, `/images/${idOf(body)}`)).status, 404)
  }
  assert.equal((await post(url, '/images?sizes=40w')).status, 201)
  assert.equal((await rawRequest(url, `/images/${idOf(body)}?size=40w&v=3`)).status, 200)
})

test('A wrong Content-Type is named, with the remedy', async (t) => {
  const { url } = await startNodeFor(t)
  const body = await fixture('fig-alpha.png')
  const CASES = [
    ['application/json; charset=utf-8', /^Unsupported Content-Type "application\/json": send the bytes of the image/],
    ['application/x-www-form-urlencoded', /^Unsupported Content-Type "application\/x-www-form-urlencoded": send/],
    ['', /^The Content-Type header is missing: send/],
    ['multipart/form-data', /^The Content-Type "multipart\/form-data" has no boundary: do not set this header/],
  ] as const
  for (const [type, message] of CASES) {
    const headers = { ...AUTHORIZATION, ...(type !== '' && { 'Content-Type': type }) }
    const answer = await rawRequest(url, '/images', { method: 'POST', headers, body })
    assertError(answer, 415, 'original_unsupported', type)
    assert.match(String(jsonFields(answer.body)['message']), message)
  }
})

test('A picture at a wrong path is 404, and the message names the right path', async (t) => {
  const { url } = await startNodeFor(t)
  const id = 'ab'.repeat(20)
  const CASES = [
    [`/images/${id}/400w`, `; did you mean /image/${id}/400w?`],
    [`//image/${id}/400w.webp`, `; did you mean /image/${id}/400w.webp?`],
    [`/Image/${id}/400w/cat.jpg`, `; did you mean /image/${id}/400w/cat.jpg?`],
    [`/images/${id}/thumbnail`, ''],
    ['/unsafe/300x200/cat.jpg', '; the setting DIALECTS enables URLs of thumbor, such as DIALECTS=thumbor=/thumbor'],
    ['/insecure/plain/cat.jpg', '; the setting DIALECTS enables URLs of imgproxy, such as DIALECTS=imgproxy=/imgproxy'],
  ] as const
  for (const [path, hint] of CASES) {
    const { status, body } = await rawRequest(url, path)
    assert.deepEqual([status, jsonFields(body)['message']], [404, `No route matches this URL${hint}`], path)
  }
})

test('An upload to another spelling of /images is 404 at the node, at nginx and at the front, however large it is', async (t) => {
  const { node, nginx, url } = await startSite(t)
  const body = await fixture('mountains.jpg')
  assert.ok(body.length > 65_536)
  for (const origin of [node.url, url, nginx.frontOrigin]) {
    for (const path of ['/images/', '/Images', '//images', '/IMAGES/?x', '/%69mages', '//']) {
      const headers = { 'Content-Type': 'image/jpeg', ...AUTHORIZATION, Connection: 'keep-alive' }
      const { status, body: answer } = await rawRequest(origin, path, { method: 'POST', headers, body })
      const { error, message } = jsonFields(answer)
      const hint = /images/i.test(path) && !path.includes('%') ? '; did you mean /images?' : ''
      assert.deepEqual([status, error, message], [404, 'route_not_found', `No route matches this URL${hint}`], path)
    }
  }
  assert.equal((await rawRequest(url, `/images/${idOf(body)}`)).status, 404)
})

test('With tokens, who has none may look at pictures and records only', async (t) => {
  const { node, url } = await startSite(t, { UPLOAD_TOKENS: `${TOKEN} another-token-for-tests` })
  const body = await fixture('fig-alpha.png')
  const id = await uploadFixture(url, 'fig-alpha.png', TOKEN)
  const attempts = [
    ['POST', '/images'],
    ['GET', '/images'],
    ['GET', '/events'],
    ['DELETE', `/images/${id}`],
    ['GET', `/images/${id}/original`],
    ['HEAD', `/images/${id}/original`],
  ] as const
  const wrong = [
    undefined,
    'Bearer wrong',
    'Bearer',
    'Bearer a-token-for-tests-onl',
    `Basic ${TOKEN}`,
    `bearer ${TOKEN}x`,
  ]
  for (const origin of [node.url, url]) {
    for (const [method, path] of attempts) {
      for (const authorization of wrong) {
        const headers = { 'Content-Type': 'image/png', ...(authorization && { Authorization: authorization }) }
        const answer = await rawRequest(origin, path, { method, headers, ...(method === 'POST' && { body }) })
        assert.equal(answer.status, 401)
        assert.equal(answer.headers['www-authenticate'], 'Bearer')
        if (method !== 'HEAD') assertError(answer, 401, 'token_required')
      }
    }
    for (const authorization of [`Bearer ${TOKEN}`, 'bearer another-token-for-tests']) {
      const headers = { Authorization: authorization }
      assert.equal((await rawRequest(origin, `/images/${id}/original`, { headers })).status, 200)
    }
    assert.equal((await rawRequest(origin, `/images/${id}`)).status, 200)
    assert.equal((await rawRequest(origin, `/image/${id}/20w`)).status, 200)
  }
})

test('The original comes back byte for byte, as an attachment that no browser shows', async (t) => {
  const { node, url } = await startSite(t)
  for (const [name, type, extension] of [
    ['fig-cmyk.jpg', 'image/jpeg', 'jpg'],
    ['stream.avif', 'image/avif', 'avif'],
  ] as const) {
    const bytes = await fixture(name)
    const id = await uploadFixture(url, name, TOKEN)
    for (const origin of [node.url, url]) {
      for (const method of ['GET', 'HEAD']) {
        const { status, headers, body } = await rawRequest(origin, `/images/${id}/original`, {
          method,
          headers: AUTHORIZATION,
        })
        assert.equal(status, 200)
        assert.equal(headers['content-disposition'], `attachment; filename="${id}.${extension}"`)
        assert.equal(headers['content-type'], type)
        assert.equal(headers['content-length'], String(bytes.length))
        assert.equal(headers['cache-control'], 'private, no-store')
        assert.equal(headers['x-content-type-options'], 'nosniff')
        assert.deepEqual(body, method === 'GET' ? bytes : Buffer.alloc(0))
      }
    }
  }
})

test('A method that a URL does not know is 405 and says which ones it knows', async (t) => {
  const { node, url } = await startSite(t)
  const id = await uploadFixture(url, 'fig-alpha.png', TOKEN)
  const cases = [
    ['DELETE', '/images', ['POST', 'GET', 'HEAD']],
    ['DELETE', '/events', ['GET', 'HEAD', 'POST']],
    ['GET', '/purge', ['POST']],
    ['PUT', `/images/${id}`, ['GET', 'HEAD', 'DELETE']],
    ['POST', `/images/${id}`, ['GET', 'HEAD', 'DELETE']],
    ['DELETE', `/images/${id}/original`, ['GET', 'HEAD']],
    ['POST', `/image/${id}/20w`, ['GET', 'HEAD']],
    ['DELETE', '/healthz', ['GET', 'HEAD']],
  ] as const
  for (const origin of [node.url, url]) {
    for (const [method, path, allowed] of cases) {
      const answer = await rawRequest(origin, path, { method, headers: AUTHORIZATION })
      assertError(answer, 405, 'method_not_allowed', `${method} ${path}`)
      assert.deepEqual(new Set(answer.headers.allow?.split(', ')), new Set(allowed), `${method} ${path}`)
    }
  }
})

test('A client that breaks off in mid-upload leaves nothing behind', async (t) => {
  const { node, url } = await startSite(t)
  for (const origin of [node.url, url]) {
    for (const type of ['image/jpeg', 'multipart/form-data; boundary=a-boundary']) {
      const headers = { 'Content-Type': type, 'Content-Length': '1000000', ...AUTHORIZATION }
      const outgoing = request(`${origin}/images`, { method: 'POST', headers })
      outgoing.on('error', () => {})
      outgoing.write(form([[FILE, Buffer.alloc(50_000)]]).body.subarray(0, 50_000))
      while ((await spooled(node)).length === 0) await delay(5)
      outgoing.destroy()
      const patience = performance.now() + 5000
      while ((await spooled(node)).length > 0) {
        assert.ok(performance.now() < patience, `${type} at ${origin}`)
        await delay(10)
      }
    }
  }
  assert.equal((await upload(url, await fixture('fig-alpha.png'), 'image/png', TOKEN)).status, 201)
  const log = await node.log()
  assert.deepEqual(
    log.filter(({ level }) => level === 'error'),
    [],
  )
})
