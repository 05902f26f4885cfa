import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { formatSignature, signPath } from '../../src/domain/access/signature.ts'
import { renditionFolder } from '../../src/domain/stored/cache-layout.ts'
import { parseImagePath, signedPath } from '../../src/domain/url/picture-url.ts'
import { assertPicture, decoded, idOf } from '../../tools/pictures/picture.ts'
import { filesBelow } from '../../tools/requests/ask.ts'
import { form } from '../../tools/requests/form.ts'
import { jsonFields, type RawResponse, rawRequest } from '../../tools/requests/raw-request.ts'
import { backgroundIsDone, fixture } from '../../tools/servers/darkroom.ts'
import { AUTHORIZATION, type Site, startSite, TOKEN, temporaryFolder } from '../../tools/servers/site.ts'

const URL_KEY = 'the-key-of-this-very-test'
const DAY = 'public, max-age=86400'

type Part = readonly [string, Buffer | string]

const image = (bytes: Buffer): Part => ['name="image"; filename="a.jpg"', bytes]
const key = (text: string): Part => ['name="key"', text]
const hints = (text: string): Part => ['name="size_hints"', text]

function post(
  origin: string,
  parts: readonly Part[],
  more: Readonly<Record<string, string>> = {},
): Promise<RawResponse> {
  const { headers, body } = form(parts)
  return rawRequest(origin, '/', { method: 'POST', headers: { ...headers, ...more }, body })
}

function assertError(answer: RawResponse, status: number, code: string, about = ''): void {
  const fields = jsonFields(answer.body)
  assert.deepEqual([answer.status, fields.error], [status, code], `${about} ${String(fields.message)}`)
  assert.equal(answer.headers['cache-control'], 'no-store')
}

function sha1Of(bytes: Buffer): string {
  return createHash('sha1').update(bytes).digest('hex')
}

/** A site, and the folder of its store, to look into behind the node's back. */
async function siteOverFiles(
  t: TestContext,
  env: Readonly<Record<string, string>> = {},
): Promise<Site & { readonly data: string }> {
  const data = await temporaryFolder(t)
  const site = await startSite(t, { STORE: `file:${data}`, ...env }, { directHits: env['SIZE_POLICY'] !== 'signed' })
  return { ...site, data }
}

/** What a redirect says, to be compared at once. */
async function redirectOf(origin: string, path: string): Promise<unknown> {
  const { status, headers } = await rawRequest(origin, path)
  return [status, headers.location, headers['cache-control']]
}

test('A site that has come from Reticulum', async (site) => {
  const { node, url } = await siteOverFiles(site, { RETICULUM_SIZES: 'true' })

  await site.test(
    'An upload as Reticulum takes it is answered in its words with what is true, in any order of the fields',
    async () => {
      const bytes = await fixture('mountains.jpg')
      const id = idOf(bytes)
      const expected = {
        hash: id,
        length: bytes.length,
        extension: 'jpg',
        full_url: `/image/${id}/full/image.jpg`,
        satisfied: true,
        nodes: [],
      }
      for (const origin of [url, node.url]) {
        for (const [about, parts, headers] of [
          ['key first', [key(TOKEN), hints('60s'), image(bytes)], {}],
          ['key last', [image(bytes), hints('60s'), key(TOKEN)], {}],
          ['a token in the header', [image(bytes)], AUTHORIZATION],
          ['a password for somebody else in the header', [image(bytes), key(TOKEN)], { Authorization: 'Basic eDp5' }],
        ] as const) {
          const answer = await post(origin, parts, headers)
          assert.deepEqual([answer.status, jsonFields(answer.body)], [200, expected], about)
          assert.match(String(answer.headers['content-type']), /^application\/json/)
          assert.equal(answer.headers['cache-control'], 'no-store')
        }
      }
      const full = await rawRequest(url, expected.full_url)
      assert.equal(full.status, 200)
      assert.deepEqual(await decoded(full.body), { format: 'jpeg', width: 1200, height: 900 })
      assert.deepEqual((await rawRequest(url, `/images/${id}/original`, { headers: AUTHORIZATION })).body, bytes)
      const png = jsonFields((await post(url, [key(TOKEN), image(await fixture('fig-alpha.png'))])).body)
      assert.deepEqual([png.extension, String(png.full_url).endsWith('/full/image.png')], ['png', true])
    },
  )

  await site.test('The sizes of the hints are made ahead, under the extension of the answer', async () => {
    const bytes = await fixture('fig-alpha.png')
    const { hash } = jsonFields((await post(url, [image(bytes), hints('30s, 20h40w,'), key(TOKEN)])).body)
    await backgroundIsDone(node)
    for (const size of ['30s', '40w20h']) {
      assert.ok(existsSync(join(node.cacheDir, 'renditions', renditionFolder(String(hash)), `${size}.png`)), size)
      const { headers } = await rawRequest(url, `/image/${String(hash)}/${size}/image.png`)
      assert.equal(headers['server-timing'], 'cache;desc="nginx"')
    }
  })

  await site.test("An image is found by its SHA-1 at any size, and in any of Reticulum's spellings", async () => {
    const bytes = await fixture('dogs-grey.jpg')
    const [id, sha1] = [idOf(bytes), sha1Of(bytes)]
    assert.equal((await rawRequest(url, `/image/${sha1}/60w/x.jpg`)).status, 404)
    assert.equal((await post(url, [key(TOKEN), image(bytes)])).status, 200)
    for (const origin of [url, node.url]) {
      for (const [path, target] of [
        [`/image/${sha1}/60w/a%20cat.jpg?v=1`, `/image/${id}/60w/a%20cat.jpg?v=1`],
        [`/image/${sha1}/60w`, `/image/${id}/60w`],
        [`/images/${sha1}`, `/images/${id}`],
        [`/images/${sha1.toUpperCase()}/info?x`, `/images/${id}/info?x`],
        // Spelling first, so that one redirect serves whatever leads there.
        [`/image/${sha1.toUpperCase()}/60w/x.JPEG`, `/image/${sha1}/60w/x.jpg`],
        [`/image/${sha1}/thumb-40h60w/x.jpg`, `/image/${sha1}/60w40h/x.jpg`],
        [`/image/${id}/100s60w/x.jpg?v=1`, `/image/${id}/100s/x.jpg?v=1`],
      ] as const) {
        assert.deepEqual(await redirectOf(origin, path), [301, target, DAY], path)
      }
      const head = await rawRequest(origin, `/image/${sha1}/60w`, { method: 'HEAD' })
      assert.deepEqual([head.status, head.headers['access-control-allow-origin']], [301, '*'])
      assertError(await rawRequest(origin, `/image/${id}/0w/x.jpg`), 400, 'invalid_path')
      assertError(await rawRequest(origin, `/image/${id}/thumb/x.jpg`), 400, 'invalid_path')
      const other = await rawRequest(origin, `/image/${'0'.repeat(40)}/60w`)
      assert.deepEqual([other.status, jsonFields(other.body).error], [404, 'original_not_found'])
      assertError(await rawRequest(origin, `/images/${sha1}/original`), 401, 'token_required')
    }
    const shown = await fetch(`${url}/image/${sha1}/thumb-60w/x.jpg`)
    assert.equal(shown.url, `${url}/image/${id}/60w/x.jpg`)
    await assertPicture(Buffer.from(await shown.arrayBuffer()), { format: 'jpeg', width: 60 })
    const original = await fetch(`${url}/images/${sha1}/original`, { headers: AUTHORIZATION })
    assert.deepEqual(Buffer.from(await original.arrayBuffer()), bytes)
  })

  await site.test(
    'An image that is deleted by its SHA-1 is gone by both names, until it is uploaded again',
    async () => {
      const bytes = await fixture('stream.webp')
      const [id, sha1] = [idOf(bytes), sha1Of(bytes)]
      const remove = (name: string, headers = {}) => rawRequest(url, `/images/${name}`, { method: 'DELETE', headers })
      assert.equal((await remove(sha1, AUTHORIZATION)).status, 404)
      await post(url, [key(TOKEN), image(bytes)])
      assert.equal((await remove(sha1)).status, 401)
      assert.equal((await remove(sha1.toUpperCase(), AUTHORIZATION)).status, 204)
      for (const path of [`/image/${sha1}/40w/x.webp`, `/images/${sha1}`]) {
        const { status, url: end } = await fetch(`${url}${path}`)
        assert.deepEqual([status, end], [410, `${url}${path.replace(sha1, id)}`])
      }
      assert.equal((await remove(sha1, AUTHORIZATION)).status, 204)
      assert.equal((await post(url, [key(TOKEN), image(bytes)])).status, 200)
      assert.equal((await fetch(`${url}/image/${sha1}/40w/x.webp`)).status, 200)
    },
  )
})

test('A text around a size is refused unless RETICULUM_SIZES is set, and canonical URLs of Reticulum work without it', async (t) => {
  const { url, node } = await siteOverFiles(t)
  const bytes = await fixture('fig-alpha.png')
  const id = idOf(bytes)
  assert.equal((await post(url, [key(TOKEN), hints('30s,20h40w'), image(bytes)])).status, 200)
  assertError(await post(url, [key(TOKEN), hints('thumb-30s'), image(bytes)]), 400, 'invalid_upload')
  for (const origin of [url, node.url]) {
    for (const [size, suggestion] of [
      ['thumb-40w', undefined],
      ['40wide', '40w'],
      ['40w@2x', '40w,2x'],
      ['40w;q=80', '40w,q80'],
      ['200.5w', undefined],
      ['1e9w', undefined],
      ['-1w', undefined],
    ] as const) {
      for (const path of [`/image/${id}/${size}`, `/image/${id}/${size}/x.png`]) {
        const answer = await rawRequest(origin, path)
        assertError(answer, 400, 'invalid_path', path)
        const { message } = jsonFields(answer.body)
        if (suggestion) assert.match(String(message), new RegExp(`did you mean "${suggestion}"\\?$`))
      }
    }
    assert.equal((await rawRequest(origin, `/image/${id}/40w/x.png`)).status, 200)
    const turned = await redirectOf(origin, `/image/${id}/20h40w/x.png`)
    assert.deepEqual(turned, [301, `/image/${id}/40w20h/x.png`, DAY])
  }
})

test('Without the right key nothing is stored, wherever in the form the key stands', async (t) => {
  const { node, url, data } = await siteOverFiles(t, { SIZE_POLICY: 'list', SIZES: '60s' })
  const bytes = await fixture('mountains.jpg')
  const cases = [
    ['no key', [image(bytes)], 401, 'token_required'],
    ['a wrong key first', [key('a-wrong-key-of-some-length'), image(bytes)], 401, 'token_required'],
    ['a wrong key last', [image(bytes), key('a-wrong-key-of-some-length')], 401, 'token_required'],
    ['an empty key', [key(''), image(bytes)], 401, 'token_required'],
    ['half a key', [image(bytes), key(TOKEN.slice(1))], 401, 'token_required'],
    ['a right key after a wrong one', [key('wrong'), key(TOKEN), image(bytes)], 401, 'token_required'],
    ['another field', [key(TOKEN), ['name="file"; filename="a.jpg"', bytes]], 400, 'invalid_upload'],
    ['no file', [key(TOKEN), hints('60s')], 400, 'invalid_upload'],
    ['two files', [key(TOKEN), image(bytes), image(bytes)], 400, 'invalid_upload'],
    ['a hint that is no size', [key(TOKEN), image(bytes), hints('large')], 400, 'invalid_upload'],
    ['a hint that is not served', [key(TOKEN), hints('61s'), image(bytes)], 403, 'size_not_allowed'],
    ['no picture', [key(TOKEN), image(Buffer.from('Hello'))], 415, 'original_unsupported'],
    ['half a picture', [key(TOKEN), image(bytes.subarray(0, 50_000))], 422, 'original_broken'],
  ] as const
  for (const origin of [url, node.url]) {
    for (const [about, parts, status, code] of cases) assertError(await post(origin, parts), status, code, about)
    const raw = { method: 'POST', headers: { 'Content-Type': 'image/jpeg', ...AUTHORIZATION }, body: bytes }
    assertError(await rawRequest(origin, '/', raw), 415, 'original_unsupported', 'no form')
  }
  // Beside the store's reserve for deletions.
  const stored = (await filesBelow(data)).filter((file) => !file.startsWith('tmp/reserve/'))
  assert.deepEqual(stored, [])
  assert.deepEqual(await filesBelow(join(node.cacheDir, 'tmp')), [])
  assert.equal((await post(url, [key(TOKEN), image(bytes), hints('60s')])).status, 200)
})

test('A wrong key is refused before the image has come, and few may send the image before the key', async (t) => {
  const { url, node } = await siteOverFiles(t)
  const begin = (origin: string, parts: readonly Part[]) => {
    const socket = connect(Number(new URL(origin).port), '127.0.0.1')
    t.after(() => socket.destroy())
    const { headers, body } = form(parts)
    const head = `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nContent-Type: ${headers['Content-Type']}\r\n\r\n`
    socket.write(Buffer.concat([Buffer.from(head), body.subarray(0, body.lastIndexOf('\r\n--'))]))
    return socket
  }
  for (const origin of [url, node.url]) {
    const socket = begin(origin, [key('wrong'), image(Buffer.alloc(1000))])
    const chunk = await once(socket, 'data')
    assert.match(chunk.join(), /^HTTP\/1\.1 401 [^]*"token_required"/)
    socket.destroy()
  }
  const waiting = Array.from({ length: 32 }, () => begin(node.url, [image(Buffer.alloc(1000))]))
  const tmp = join(node.cacheDir, 'tmp')
  while ((await filesBelow(tmp)).length < waiting.length) await new Promise(setImmediate)
  const bytes = await fixture('fig-alpha.png')
  const refused = await post(node.url, [image(bytes), key(TOKEN)])
  assertError(refused, 503, 'overloaded')
  assert.equal(refused.headers['retry-after'], '2')
  assert.equal((await post(node.url, [key(TOKEN), image(bytes)])).status, 200)
  for (const socket of waiting) socket.destroy()
  while ((await filesBelow(tmp)).length > 0) await new Promise(setImmediate)
  assert.equal((await post(node.url, [image(bytes), key(TOKEN)])).status, 200)
})

test('Under signatures a SHA-1 needs one as well, and gives one for the same picture and time only', async (t) => {
  const { url } = await siteOverFiles(t, { SIZE_POLICY: 'signed', URL_KEYS: `another-key-of-this-test ${URL_KEY}` })
  const bytes = await fixture('fig-alpha.png')
  const [id, sha1] = [idOf(bytes), sha1Of(bytes)]
  const answer = jsonFields((await post(url, [key(TOKEN), image(bytes)])).body)
  assert.equal((await rawRequest(url, String(answer.full_url))).status, 200)
  const sign = (path: string, expires?: number) => {
    const request = parseImagePath(path)
    return `${path}?${formatSignature(signPath(signedPath(request), URL_KEY, expires))}`
  }
  const path = `/image/${sha1}/40w/x.png`
  const own = `/image/${id}/40w/x.png`
  assert.deepEqual(await redirectOf(url, sign(path)), [301, sign(own), DAY])
  const soon = Math.floor(Date.now() / 1000) + 1000
  const { status, headers } = await rawRequest(url, sign(path, soon))
  assert.deepEqual([status, headers.location], [301, sign(own, soon)])
  const maxAge = Number(/^public, max-age=(\d+)$/.exec(String(headers['cache-control']))?.[1])
  assert.ok(maxAge > 900 && maxAge <= 1000, String(headers['cache-control']))
  assert.equal((await fetch(`${url}${sign(path, soon)}`)).status, 200)
  for (const refused of [
    path,
    `${path}?s=wrong`,
    sign(own).replace(id, sha1),
    sign(path).replace('40w', '41w'),
    sign(path, soon).replace(/e=\d+/, 'e=9999999999'),
  ]) {
    assertError(await rawRequest(url, refused), 403, 'signature_invalid', refused)
  }
  assertError(await rawRequest(url, sign(path, 1)), 403, 'signature_expired')
})
