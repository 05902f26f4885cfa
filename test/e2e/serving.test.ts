import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { jsonFields, type RawRequest, type RawResponse, rawRequest } from '../../tools/requests/raw-request.ts'
import { backgroundIsDone, type Darkroom, uploadFixture } from '../../tools/servers/darkroom.ts'
import { startNginxFor, startNodeFor, startSite, TOKEN, temporaryFolder } from '../../tools/servers/site.ts'

/** The three ways of a picture to its viewer; each with a cache that holds what the last one left, or an own one. */
interface Ways {
  /** nginx by itself. */
  readonly direct: string
  /** The node, which points nginx at the file. */
  readonly accelerated: string
  /** Another node, without nginx, on the same store. */
  readonly alone: Darkroom
}

async function startWays(t: TestContext): Promise<Ways> {
  const STORE = `file:${await temporaryFolder(t)}`
  const { node, url } = await startSite(t, { STORE })
  const noHits = await startNginxFor(t, node, { directHits: false })
  const alone = await startNodeFor(t, { env: { STORE, UPLOAD_TOKENS: TOKEN } })
  return { direct: url, accelerated: noHits.origin, alone }
}

/** Uploads a photograph. When this resolves, both nodes render from its mezzanines, so that their files are equal. */
async function uploadPhotograph({ alone }: Ways): Promise<string> {
  const id = await uploadFixture(alone.url, 'mountains.jpg', TOKEN)
  await backgroundIsDone(alone)
  return id
}

/** Of the connection or of the moment, and no part of the answer. */
const OF_THE_MOMENT = new Set(['date', 'server', 'connection', 'keep-alive'])

/** All that must be the same, whichever way it came. */
function essence({ status, rawHeaders, body }: RawResponse) {
  const headers: string[] = []
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]?.toLowerCase() ?? ''
    if (!OF_THE_MOMENT.has(name)) headers.push(name === 'server-timing' ? name : `${name}: ${rawHeaders[at + 1]}`)
  }
  return { status, headers: headers.toSorted(), body: body.toString('latin1') }
}

/** Asks all three ways, and holds them to the same answer. @returns the answer of the node alone. */
async function askAll(ways: Ways, path: string, options: RawRequest = {}): Promise<RawResponse> {
  const asked = `${options.method ?? 'GET'} ${path} ${JSON.stringify(options.headers ?? {})}`
  const alone = await rawRequest(ways.alone.url, path, options)
  const accelerated = await rawRequest(ways.accelerated, path, options)
  const direct = await rawRequest(ways.direct, path, options)
  assert.deepEqual(essence(accelerated), essence(alone), `through nginx: ${asked}`)
  assert.deepEqual(essence(direct), essence(alone), `nginx by itself: ${asked}`)
  return alone
}

test('A picture is the same, header by header, from nginx, through nginx and from the node alone', async (t) => {
  const ways = await startWays(t)
  const id = await uploadPhotograph(ways)
  const cases = [
    [`/image/${id}/160w/a-name.jpg`, {}],
    [`/image/${id}/160w/a-name.avif`, { Accept: 'text/html' }],
    [`/image/${id}/160w.png`, { Accept: 'image/avif' }],
    [`/image/${id}/160w,1.5x.webp`, {}],
    [`/image/${id}/160w`, {}],
    [`/image/${id}/160w`, { Accept: 'image/webp,*/*' }],
    [`/image/${id}/160w`, { Accept: 'image/avif,image/webp' }],
  ] as const
  for (const [path, accept] of cases) {
    const { etag = '', 'last-modified': modified = '', vary } = (await askAll(ways, path, { headers: accept })).headers
    assert.equal(vary, /\.[a-z]+$/.test(path) ? undefined : 'Accept')
    // By now every cache has it: the second time each way is what it is called.
    const { headers } = await rawRequest(ways.direct, path, { headers: accept })
    assert.equal(headers['server-timing'], 'cache;desc="nginx"')
    for (const method of ['GET', 'HEAD']) {
      for (const [status, conditions] of conditionsWith(etag, modified)) {
        const answer = await askAll(ways, path, { method, headers: { ...accept, ...conditions } })
        assert.equal(answer.status, status, JSON.stringify(conditions))
        assert.match(String(answer.headers['cache-control']), status < 400 ? /^public, max-age=31536000/ : /^no-store$/)
      }
    }
  }
})

/** Conditions and ranges in every spelling on which servers differ, with the status of the answer. */
function conditionsWith(etag: string, modified: string): readonly (readonly [number, Record<string, string>])[] {
  const earlier = 'Sat, 29 Oct 1994 19:43:31 GMT'
  return [
    [200, {}],
    [206, { Range: 'bytes=0-9' }],
    [206, { Range: 'bytes=10-' }],
    [206, { Range: 'bytes=-10' }],
    [206, { Range: 'bytes=-99999999' }],
    [206, { Range: 'Bytes= 0 - 9' }],
    [206, { Range: 'bytes=99999999-,0-1' }],
    [200, { Range: 'bytes=0-1,4-5' }],
    [200, { Range: 'lines=0-1' }],
    [200, { Range: 'bytes=' }],
    [416, { Range: 'bytes=99999999-' }],
    [416, { Range: 'bytes=99999999-,99999999-' }],
    [416, { Range: 'bytes=-0' }],
    [416, { Range: 'bytes=5-2' }],
    [416, { Range: 'bytes=-' }],
    [416, { Range: 'bytes=first' }],
    [416, { Range: 'bytes=0-9,' }],
    [416, { Range: 'bytes=0-99999999999999999999' }],
    [206, { Range: 'bytes=0-9', 'If-Range': etag }],
    [206, { Range: 'bytes=0-9', 'If-Range': modified }],
    [200, { Range: 'bytes=0-9', 'If-Range': `W/${etag}` }],
    [200, { Range: 'bytes=0-9', 'If-Range': '"another"' }],
    [200, { Range: 'bytes=99999999-', 'If-Range': earlier }],
    [304, { 'If-None-Match': etag }],
    [304, { 'If-None-Match': `"another", W/${etag}` }],
    [304, { 'If-None-Match': '*' }],
    [304, { 'If-None-Match': etag, Range: 'bytes=99999999-' }],
    [304, { 'If-None-Match': etag, 'If-Modified-Since': modified }],
    [200, { 'If-None-Match': etag, 'If-Modified-Since': earlier }],
    [200, { 'If-None-Match': '"another"', 'If-Modified-Since': modified }],
    [200, { 'If-None-Match': etag.replaceAll('"', '') }],
    [304, { 'If-Modified-Since': modified }],
    [200, { 'If-Modified-Since': earlier }],
    [200, { 'If-Modified-Since': new Date().toUTCString() }],
    [200, { 'If-Modified-Since': 'yesterday' }],
    [200, { 'If-Match': etag }],
    [412, { 'If-Match': '"another"' }],
    [412, { 'If-Match': `W/${etag}`, 'If-None-Match': etag, Range: 'bytes=99999999-' }],
    [200, { 'If-Unmodified-Since': new Date().toUTCString() }],
    [412, { 'If-Unmodified-Since': earlier }],
  ]
}

test('Every other spelling of a picture’s URL is redirected once, the query kept, the same three ways', async (t) => {
  const ways = await startWays(t)
  const id = await uploadPhotograph(ways)
  const upper = id.toUpperCase()
  const redirects = {
    // Reticulum's own URLs, of the services that this one takes over from.
    [`/image/${id}/100h300w/x.jpeg`]: `/image/${id}/300w100h/x.jpg`,
    [`/image/${upper}/0100h300W,q80,center,1x,COVER/Cat%20No.1.JPEG?utm=1&a=%20b`]: `/image/${id}/300w100h,cover,q80/Cat%20No.1.jpg?utm=1&a=%20b`,
    [`/image/${upper}/300w0100h.JPEG?v=1`]: `/image/${id}/300w100h.jpg?v=1`,
    [`/image/${upper}/160w?x`]: `/image/${id}/160w?x`,
  }
  for (const [path, target] of Object.entries(redirects)) {
    const { status, headers } = await askAll(ways, path)
    assert.equal(status, 301)
    assert.equal(headers.location, target)
    assert.match(String(headers['cache-control']), /^public, max-age=\d+$/)
    const served = await askAll(ways, target)
    assert.equal(served.status, 200)
    assert.equal(served.headers['content-type'], 'image/jpeg')
  }
})

test('An error is the same JSON whichever way the request came', async (t) => {
  const ways = await startWays(t)
  const id = await uploadPhotograph(ways)
  const unknown = 'ab'.repeat(20)
  for (const path of [`/image/${id}/160w.jpg`, `/image/${id}/160w`]) await askAll(ways, path)
  const errors = [
    ['GET', `/image/${id}/160q/x.jpg`, 400, 'invalid_path'],
    ['GET', `/image/${id}/160w,cover`, 400, 'invalid_path'],
    ['GET', `/image/${id}/9000w`, 400, 'invalid_path'],
    ['GET', `/image/${id}/160w/x.bmp`, 400, 'invalid_path'],
    ['GET', `/image/${id}/160w.tiff`, 400, 'invalid_path'],
    ['GET', `/image/${id}/160w@2x`, 400, 'invalid_path'],
    ['GET', `/image/${id}/160w.jpg?w=400`, 400, 'invalid_path'],
    ['GET', `/image/${id}/160w?v=1&Q=80`, 400, 'invalid_path'],
    ['GET', `/image/${unknown}/160w/x.jpg`, 404, 'original_not_found'],
    ['HEAD', `/image/${unknown}/160w/x.jpg`, 404, 'original_not_found'],
    ['GET', `/images/${unknown}`, 404, 'original_not_found'],
    ['GET', `/images/${unknown}/original`, 401, 'token_required'],
    ['DELETE', `/images/${unknown}`, 401, 'token_required'],
    ['GET', '/nothing/here', 404, 'route_not_found'],
    ['PUT', `/image/${id}/160w/x.jpg`, 405, 'method_not_allowed'],
    ['DELETE', '/images', 405, 'method_not_allowed'],
    ['GET', '/images', 401, 'token_required'],
  ] as const
  for (const [method, path, status, code] of errors) {
    const answer = await askAll(ways, path, { method })
    assert.equal(answer.status, status, `${method} ${path}`)
    assert.equal(answer.headers['cache-control'], status === 404 ? 'public, max-age=5' : 'no-store')
    assert.equal(answer.headers['x-content-type-options'], 'nosniff')
    assert.equal(answer.headers['content-type'], 'application/json')
    if (method === 'HEAD') continue
    const { error, message, ...rest } = jsonFields(answer.body)
    assert.equal(error, code)
    assert.equal(typeof message, 'string')
    assert.deepEqual(rest, {})
  }
})

test('What nginx itself finds wrong with a path has the status and the shape that the node gives it', async (t) => {
  const ways = await startWays(t)
  for (const path of [`/image/${'ab'.repeat(20)}/160w/%zz.jpg`, '/image/../../etc/passwd']) {
    const shapes = await Promise.all(
      [ways.direct, ways.accelerated, ways.alone.url].map(async (origin) => {
        const { status, headers, body } = await rawRequest(origin, path)
        const { date: _date, server: _server, connection: _connection, 'content-length': _length, ...rest } = headers
        return { status, rest, fields: Object.keys(jsonFields(body)) }
      }),
    )
    assert.equal(shapes[0]?.status, 400)
    assert.deepEqual(shapes[1], shapes[0])
    assert.deepEqual(shapes[2], shapes[0])
  }
})
