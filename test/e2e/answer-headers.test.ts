import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseAnswers, rawExchange } from '../../tools/requests/raw-exchange.ts'
import { type RawRequest, type RawResponse, rawRequest } from '../../tools/requests/raw-request.ts'
import { fixture, uploadFixture } from '../../tools/servers/darkroom.ts'
import { AUTHORIZATION, TOKEN } from '../../tools/servers/site.ts'
import { EVENT_TOKEN, FOREIGN_HEADERS, startWholeSite, type WholeSite } from '../support/whole-site.ts'

interface Case extends RawRequest {
  readonly path: string
  /** At the node, its nginx and the front alike, unless given for the front. */
  readonly status: number
  readonly atFront?: number
}

const UNKNOWN = 'ab'.repeat(20)

/** Every route, with every kind of answer that it has. */
async function routesOf({ url, id, pictures, remoteUrl }: WholeSite): Promise<readonly Case[]> {
  const doomed = await uploadFixture(url, 'fig-alpha.png', TOKEN)
  const picture = await fixture('mountains.jpg')
  const image = { 'Content-Type': 'image/jpeg' }
  const event = { Authorization: `Bearer ${EVENT_TOKEN}` }
  return [
    { path: '/', status: 200 },
    { path: '/', status: 405, method: 'PUT' },
    { path: '/', status: 415, method: 'POST', body: 'x', headers: AUTHORIZATION },
    { path: '/robots.txt', status: 200 },
    { path: '/favicon.ico', status: 200 },
    { path: '/favicon.ico', status: 405, method: 'POST' },
    { path: '/healthz', status: 200 },
    { path: '/healthz', status: 200, method: 'HEAD' },
    { path: '/healthz', status: 200 },
    { path: '/healthz/', status: 404 },
    { path: '/METRICS', status: 404 },
    { path: '/readyz', status: 200 },
    { path: '/metrics', status: 200, atFront: 404 },
    { path: '/metrics', status: 405, atFront: 404, method: 'POST' },
    { path: '/nothing', status: 404 },
    { path: '/_renditions/x', status: 404 },
    { path: '/_error', status: 404 },
    { path: '/images', status: 405, method: 'DELETE' },
    { path: '/images', status: 401 },
    { path: '/images?limit=1', status: 200, headers: AUTHORIZATION },
    { path: '/events', status: 401 },
    { path: '/events?wait=0', status: 200, headers: AUTHORIZATION },
    { path: '/events?after=x', status: 400, headers: AUTHORIZATION },
    { path: '/images', status: 401, method: 'POST', body: picture, headers: image },
    { path: '/images', status: 415, method: 'POST', body: 'x', headers: AUTHORIZATION },
    { path: '/images', status: 200, method: 'POST', body: picture, headers: { ...image, ...AUTHORIZATION } },
    { path: `/images/${id}`, status: 200 },
    { path: `/images/${id.toUpperCase()}`, status: 200 },
    { path: `/images/${id}`, status: 304, headers: { 'If-None-Match': '*' } },
    { path: `/images/${UNKNOWN}`, status: 404 },
    { path: '/images/x', status: 400 },
    { path: `/images/${id}/info`, status: 200 },
    { path: `/images/${id}/info`, status: 200, headers: AUTHORIZATION },
    { path: `/images/${id}/original`, status: 401 },
    { path: `/images/${id}/original`, status: 200, headers: AUTHORIZATION },
    { path: `/images/${id}/original`, status: 200, method: 'HEAD', headers: AUTHORIZATION },
    { path: `/images/${doomed}`, status: 204, method: 'DELETE', headers: AUTHORIZATION },
    { path: `/images/${doomed}`, status: 410 },
    { path: `/images/${UNKNOWN}`, status: 404, method: 'DELETE', headers: AUTHORIZATION },
    { path: `/images/${id}`, status: 401, method: 'DELETE' },
    { path: '/events/s3', status: 401, method: 'POST', body: '{}' },
    { path: '/events/s3', status: 400, method: 'POST', body: '}', headers: event },
    { path: '/events/s3', status: 204, method: 'POST', body: '{"Records":[]}', headers: event },
    { path: '/events/s3', status: 405 },
    ...Object.entries(pictures).flatMap(([grammar, path]) => [
      { path, status: 200 },
      { path, status: 200, method: 'HEAD' },
      { path, status: 304, headers: { 'If-None-Match': '*' } },
      // rethumb knew no other error.
      { path, status: grammar === 'rethumb' ? 400 : 412, headers: { 'If-Match': '"x"' } },
      { path, status: 206, headers: { Range: 'bytes=0-0' } },
      { path, status: grammar === 'rethumb' ? 400 : 416, headers: { Range: 'bytes=99999999-' } },
    ]),
    { path: `/image/${id}/40W`, status: 301 },
    { path: `/image/${id}/40q`, status: 400 },
    { path: `/image/${UNKNOWN}/40w`, status: 404 },
    { path: pictures['upload'] ?? '', status: 405, method: 'DELETE' },
    { path: '/s3/photos/mine/a%20b.jpg/-/40W', status: 301 },
    { path: '/s3/photos/mine/a%20b.jpg/-/info', status: 200 },
    { path: '/s3/photos/mine/none.jpg/-/40w', status: 404 },
    { path: '/s3/photos/others/none.jpg/-/40w', status: 404 },
    { path: `/image?url=${encodeURIComponent(remoteUrl)}&size=info`, status: 200 },
    { path: `/image?url=${encodeURIComponent(remoteUrl.replace('/a.', '/none.'))}&size=40w`, status: 404 },
    { path: '/image?url=http%3A%2F%2Fevil.example%2F&size=40w', status: 403 },
    { path: `/v1/width/40/${remoteUrl.replace('/a.', '/none.')}`, status: 400 },
    { path: '/v1/width/40/http://evil.example/a.jpg', status: 400 },
    { path: '/thumbor/unsafe/40x0/http://evil.example/a.jpg', status: 403 },
    { path: '/imgproxy/insecure/w:x/plain/http://evil.example/a.jpg', status: 400 },
    { path: '/ipx/x_40/http://evil.example/a.jpg', status: 400 },
  ]
}

/** On every answer; and what no cache may keep. */
function assertGuarded({ status, headers }: Pick<RawResponse, 'status' | 'headers'>, what: string): void {
  assert.equal(headers['x-content-type-options'], 'nosniff', what)
  assert.match(String(headers['content-security-policy']), /^default-src 'none'; /, what)
  if (status < 400) return
  const caching = status === 404 ? /^(?:public, max-age=5|no-store)$/ : /^no-store$/
  assert.match(String(headers['cache-control']), caching, what)
}

/** All that our answers are made of. */
const OURS = new Set(
  `accept-ranges access-control-allow-origin age allow cache-control cache-tag connection content-disposition content-length
  content-range content-security-policy content-type cross-origin-resource-policy date etag keep-alive last-modified link location
  rethumb-error-message retry-after server server-timing timing-allow-origin transfer-encoding vary www-authenticate
  x-content-type-options x-darkroom-cache-control x-darkroom-tier x-accel-redirect`.split(/\s+/),
)
/** What the node says to its nginx, and to nobody else. */
const INTERNAL = ['x-accel-redirect', 'x-darkroom-cache-control', 'x-darkroom-tier']

/** Nothing of what a store or a remote host says of itself or of its own clients. */
function assertOwn({ headers }: RawResponse, from: string, what: string): void {
  const names = Object.keys(headers)
  assert.deepEqual(
    names.filter((name) => !OURS.has(name)),
    [],
    what,
  )
  const strange = Object.entries(FOREIGN_HEADERS).filter(([name, value]) => headers[name.toLowerCase()] === value)
  assert.deepEqual(strange, [], what)
  if (from === 'node') return
  assert.deepEqual(
    INTERNAL.filter((name) => names.includes(name)),
    [],
    what,
  )
}

test('Every answer of every route is guarded, and all of its headers are our own', async (t) => {
  const site = await startWholeSite(t)
  const cases = await routesOf(site)
  const seen = new Set<number>()
  for (const [from, origin] of Object.entries(site.origins)) {
    for (const { path, status, atFront = status, ...options } of cases) {
      const answer = await rawRequest(origin, path, options)
      const what = `${options.method ?? 'GET'} ${path} ${JSON.stringify(options.headers ?? {})} at the ${from}`
      // Where the node only points its nginx at a file, it is nginx that answers.
      if (from === 'node' && answer.headers['x-accel-redirect'] !== undefined) continue
      assert.equal(
        answer.status,
        from === 'front' ? atFront : status,
        `${what}: ${answer.body.toString('latin1', 0, 200)}`,
      )
      assertGuarded(answer, what)
      assertOwn(answer, from, what)
      seen.add(answer.status)
    }
  }
  assert.deepEqual(
    [...seen].toSorted((a, b) => a - b),
    [200, 204, 206, 301, 304, 400, 401, 403, 404, 405, 410, 412, 415, 416],
  )

  await site.proxy.setFault({ kind: 'refuse' })
  for (const [from, origin] of Object.entries(site.origins)) {
    for (const path of [`/images/${'cd'.repeat(20)}`, `/image/${'cd'.repeat(20)}/40w`, '/readyz']) {
      const answer = await rawRequest(origin, path)
      assert.deepEqual(
        [answer.status, answer.headers['retry-after'] !== undefined],
        [503, true],
        `${path} at the ${from}`,
      )
      assertGuarded(answer, `${path} at the ${from}`)
    }
  }

  // What is no request at all.
  const garbage = {
    'nonsense\r\n\r\n': 400,
    'GET / HTTP/1.1\r\n\r\n': 400,
    'GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n': 400,
    'FOO / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n': 400,
    'GET / HTTP/1.1\r\nHost: a\r\nNo colon\r\n\r\n': 400,
    [`GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(30_000)}\r\n\r\n`]: 431,
    'GET /nothing HTTP/1.1\r\nHost: a\r\nExpect: the moon\r\nConnection: close\r\n\r\n': 417,
  }
  for (const [from, origin] of Object.entries(site.origins)) {
    for (const [bytes, status] of Object.entries(garbage)) {
      const what = `${JSON.stringify(bytes.slice(0, 80))} at the ${from}`
      const answers = parseAnswers(await rawExchange(origin, bytes))
      assert.equal(answers.length, 1, what)
      // nginx passes over an expectation that it does not know, and over a line that is no header.
      const isPassedOver = from !== 'node' && /Expect|No colon/.test(bytes)
      if (!isPassedOver) assert.equal(answers[0]?.status, status, what)
      if (answers[0]) assertGuarded(answers[0], what)
    }
  }
})
