import assert from 'node:assert/strict'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { untilClosed } from '../../tools/requests/raw-exchange.ts'
import { jsonFields, type RawResponse, rawRequest } from '../../tools/requests/raw-request.ts'
import { answerOwn, CONTENT_SECURITY_POLICY, FOLDER, ID, setStage } from '../support/stand-in-node.ts'

/** Holds an error of nginx to the shape of the node's. */
function assertError(answer: RawResponse, status: number, code: string): void {
  const { date: _date, connection: _connection, 'content-length': _length, ...headers } = answer.headers
  assert.equal(answer.status, status)
  assert.deepEqual(headers, {
    server: 'nginx',
    'content-type': 'application/json',
    'cache-control': 'no-store',
    'access-control-allow-origin': '*',
    'x-content-type-options': 'nosniff',
    'content-security-policy': CONTENT_SECURITY_POLICY,
    ...(status === 503 && { 'retry-after': '2' }),
  })
  const { error, message, ...rest } = jsonFields(answer.body)
  assert.equal(error, code)
  assert.equal(typeof message, 'string')
  assert.deepEqual(rest, {})
}

/** Sends these bytes and reads all that comes until nginx closes, gently or by a reset. */
async function rawExchange(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(bytes)
  return (await untilClosed(socket)).toString()
}

test("An error of the node's is passed on as it is", async (t) => {
  const { nginx } = await setStage(t, (request, response) => {
    const status = Number(request.url?.slice(1))
    const headers = {
      'Content-Type': 'application/json',
      'Cache-Control': 'no-store',
      'Retry-After': '7',
      'X-Own': 'yes',
    }
    response.writeHead(status, headers).end(`{"error":"own_${status}"}`)
  })
  for (const status of [400, 401, 403, 404, 405, 408, 410, 413, 415, 416, 422, 429, 500, 502, 503, 504]) {
    for (const origin of [nginx.origin, nginx.frontOrigin]) {
      const answer = await rawRequest(origin, `/${status}`)
      assert.equal(answer.status, status)
      assert.equal(answer.body.toString(), `{"error":"own_${status}"}`)
      assert.equal(answer.headers['retry-after'], '7')
      assert.equal(answer.headers['x-own'], 'yes')
    }
  }
})

test('With the node down direct hits go on, and anything else is a 503 in JSON that says when to retry', async (t) => {
  const { nginx, node, publish } = await setStage(t, answerOwn)
  await publish(`${FOLDER}/400w.webp`, 'a picture')
  await node.stop()
  assert.equal((await rawRequest(nginx.origin, `/image/${ID}/400w/x.webp`)).status, 200)
  for (const path of ['/', '/healthz', '/images', '/metrics', `/image/${ID}/401w/x.webp`, `/image/${ID}/401w`]) {
    assertError(await rawRequest(nginx.origin, path), 503, 'unavailable')
  }
  for (const body of ['a picture', Buffer.alloc(200_000)]) {
    assertError(await rawRequest(nginx.origin, '/images', { method: 'POST', body }), 503, 'unavailable')
  }
})

test('A node that hangs up is a 503 in JSON', async (t) => {
  const { nginx } = await setStage(t, (request) => void request.socket.destroy())
  for (const origin of [nginx.origin, nginx.frontOrigin]) {
    assertError(await rawRequest(origin, '/'), 503, 'unavailable')
    assertError(await rawRequest(origin, `/image/${ID}/400w/x.webp`), 503, 'unavailable')
    assertError(await rawRequest(origin, '/images', { method: 'POST', body: 'a picture' }), 503, 'unavailable')
  }
})

test('A node that dies in the middle of a large upload is a 503 in JSON, in both servers', async (t) => {
  const { nginx } = await setStage(t, (request) => void request.once('data', () => request.socket.destroy()))
  const body = Buffer.alloc(1_000_000)
  for (const origin of [nginx.origin, nginx.frontOrigin]) {
    for (const path of ['/images', '/']) {
      assertError(await rawRequest(origin, path, { method: 'POST', body }), 503, 'unavailable')
    }
  }
})

test('A node that stays silent is a 503 in JSON, and is not asked a second time', async (t) => {
  const { nginx, node } = await setStage(t, () => undefined, {
    site: { 'proxy_read_timeout 35s;': 'proxy_read_timeout 1s;' },
  })
  for (const origin of [nginx.origin, nginx.frontOrigin]) {
    assertError(await rawRequest(origin, '/'), 503, 'unavailable')
  }
  assert.equal(node.requests.length, 2)
})

test("nginx's own errors have the shape of the node's, in both servers", async (t) => {
  const { nginx } = await setStage(t, answerOwn)
  for (const origin of [nginx.origin, nginx.frontOrigin]) {
    assertError(await rawRequest(origin, '/_error'), 404, 'route_not_found')
    assertError(await rawRequest(origin, `/${'x'.repeat(9000)}`), 414, 'uri_too_long')
    assertError(await rawRequest(origin, '/', { headers: { 'X-Long': 'x'.repeat(9000) } }), 431, 'headers_too_large')
    const large = { method: 'POST', body: 'x'.repeat(70_000) }
    assertError(await rawRequest(origin, '/elsewhere', large), 413, 'original_too_large')
    assertError(await rawRequest(origin, '/%', {}), 400, 'invalid_request')
    assertError(await rawRequest(origin, '/', { method: 'TRACE' }), 405, 'method_not_allowed')
  }
  assertError(await rawRequest(nginx.frontOrigin, '/metrics'), 404, 'route_not_found')
})

test("nginx's 413 names the limit of the place where the body goes, and a site's own limit", async (t) => {
  const { nginx } = await setStage(t, answerOwn)
  const own = '"~*^/+(?:images/*)?(?:\\?|$)" "64 MiB (MAX_UPLOAD_BYTES)";'
  const { nginx: another } = await setStage(t, answerOwn, { site: { [own]: own.replace('64 MiB', '200 MiB') } })
  const headers = { 'Content-Length': String(70 * 2 ** 20) }
  for (const [site, limit] of [
    [nginx, '64 MiB'],
    [another, '200 MiB'],
  ] as const) {
    for (const origin of [site.origin, site.frontOrigin]) {
      for (const [path, message] of [
        ['/images', `limit of ${limit} (MAX_UPLOAD_BYTES)`],
        ['/images?sizes=400w', `limit of ${limit} (MAX_UPLOAD_BYTES)`],
        ['/', `limit of ${limit} (MAX_UPLOAD_BYTES)`],
        ['/events/s3', 'limit of 1 MiB'],
        ['/elsewhere', 'limit of 64 KiB'],
      ] as const) {
        const answer = await rawRequest(origin, path, { method: 'POST', headers })
        assertError(answer, 413, 'original_too_large')
        assert.equal(jsonFields(answer.body)['message'], `The request body exceeds the ${message}`)
      }
    }
  }
})

test('What is no HTTP at all is refused in JSON too', async (t) => {
  const { nginx } = await setStage(t, answerOwn)
  const garbage = [
    'nonsense\r\n\r\n',
    'GET / HTTP/1.1\r\n\r\n',
    'GET / HTTP/9.0\r\nHost: x\r\n\r\n',
    'GET /a b HTTP/1.1\r\nHost: x\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x\r\nConnection: close\r\n\r\n',
  ]
  for (const bytes of garbage) {
    for (const port of [nginx.port, nginx.frontPort]) {
      const answer = await rawExchange(port, bytes)
      assert.match(answer, /^HTTP\/1\.1 (400|501|505) /, bytes)
      assert.match(
        answer,
        /\r\nCache-Control: no-store\r\n[^]*\r\n\r\n\{"error":"invalid_request","message":"[^"]+"\}$/,
        bytes,
      )
    }
  }
})

/** The node takes `/` and `/images` only, and says so itself of the others. */
const UPLOAD_PATHS = ['/images', '/', '/?from=there', '/images/', '/Images', '//images', '/%69mages', '//'] as const

test('An upload is streamed to the node, and one that is too large is a 413 in JSON', async (t) => {
  const sizes: number[] = []
  const { nginx } = await setStage(
    t,
    (request, response) => {
      buffer(request).then(
        (bytes) => {
          sizes.push(bytes.length)
          response.writeHead(201).end()
        },
        () => undefined,
      )
    },
    { site: { 'client_max_body_size 65m;': 'client_max_body_size 200k;' } },
  )
  for (const origin of [nginx.origin, nginx.frontOrigin]) {
    for (const path of UPLOAD_PATHS) {
      const upload = (body: Buffer, headers = {}) => rawRequest(origin, path, { method: 'POST', body, headers })
      assert.equal((await upload(Buffer.alloc(150_000))).status, 201)
      assert.equal((await upload(Buffer.alloc(150_000), { 'Transfer-Encoding': 'chunked' })).status, 201)
      assertError(await upload(Buffer.alloc(250_000)), 413, 'original_too_large')
      assertError(await upload(Buffer.alloc(250_000), { 'Transfer-Encoding': 'chunked' }), 413, 'original_too_large')
    }
  }
  assert.deepEqual(
    sizes,
    Array.from({ length: 4 * UPLOAD_PATHS.length }, () => 150_000),
  )
})

test('The node sees an upload begin before it has ended, and its early refusal reaches the client', async (t) => {
  const { nginx } = await setStage(t, (_, response) => {
    response.writeHead(401, { 'Content-Type': 'application/json' }).end('{"error":"token_required"}')
  })
  for (const origin of [nginx.origin, nginx.frontOrigin]) {
    for (const path of ['/images', '/']) {
      const { port } = new URL(origin)
      const socket = connect(Number(port), '127.0.0.1')
      t.after(() => socket.destroy())
      socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nthe first bytes`)
      const chunk = await once(socket, 'data')
      assert.match(chunk.join(), /^HTTP\/1\.1 401 [^]*\{"error":"token_required"\}/)
    }
  }
  const large = await rawRequest(nginx.origin, '/images', { method: 'POST', body: Buffer.alloc(20_000_000) })
  assert.equal(large.status, 401)
})

test('A client that does not finish its headers or its body, or idles, is closed in time', async (t) => {
  const { nginx } = await setStage(t, (request) => void request.resume(), {
    site: {
      'client_header_timeout 15s;': 'client_header_timeout 1s;',
      'client_body_timeout 35s;': 'client_body_timeout 1s;',
      'keepalive_timeout 60s;': 'keepalive_timeout 1s;',
    },
  })
  const started = performance.now()
  const slow = [
    'GET / HT',
    'GET / HTTP/1.1\r\nHost: x\r\n',
    'POST /images HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx',
    '',
  ]
  await Promise.all([nginx.port, nginx.frontPort].flatMap((port) => slow.map((bytes) => rawExchange(port, bytes))))
  const idle = await rawExchange(nginx.port, 'GET /_error HTTP/1.1\r\nHost: x\r\n\r\n')
  assert.match(idle, /^HTTP\/1\.1 404 /)
  assert.ok(performance.now() - started < 15_000)
})

test('The metrics are for the machine itself only, however the path is spelled', async (t) => {
  const { nginx } = await setStage(t, answerOwn)
  const foreign = { headers: { 'X-Forwarded-For': '192.0.2.1' } }
  for (const path of ['/metrics', '/METRICS', '/metrics/', '//metrics', '/%6detrics', '/x/../metrics', '/metrics?x']) {
    assert.equal((await rawRequest(nginx.origin, path)).status, 299, path)
    assertError(await rawRequest(nginx.origin, path, foreign), 403, 'forbidden')
    assertError(await rawRequest(nginx.origin, path, { from: '127.0.0.2' }), 403, 'forbidden')
  }
})

test('The node learns who asks, from trusted proxies only', async (t) => {
  const seen: unknown[] = []
  const { nginx } = await setStage(t, ({ headers }, response) => {
    seen.push([
      headers['x-forwarded-for'],
      headers['x-forwarded-proto'],
      headers['x-forwarded-host'],
      headers.host,
      headers.cookie,
    ])
    assert.match(String(headers['x-request-id']), /^[0-9a-f]{32}$/)
    response.end()
  })
  const headers = {
    Host: 'pictures.example:8443',
    Cookie: 'a=b',
    'X-Forwarded-For': '203.0.113.9, 192.0.2.1',
    'X-Forwarded-Proto': 'https',
    'X-Request-Id': 'a forged\tone',
  }
  await rawRequest(nginx.origin, '/', { headers })
  await rawRequest(nginx.frontOrigin, '/', { headers })
  await rawRequest(nginx.origin, '/', { headers, from: '127.0.0.2' })
  const host = 'pictures.example:8443'
  assert.deepEqual(seen, [
    ['192.0.2.1', 'https', host, host, undefined],
    ['192.0.2.1', 'https', host, host, undefined],
    ['127.0.0.2', 'http', host, host, undefined],
  ])
})

test('While the flag of overload is up most of what is not on disk is refused, and all else goes on', async (t) => {
  const { nginx, node, publish } = await setStage(t, answerOwn)
  await publish(`${FOLDER}/400w.webp`, 'a picture')
  const flag = await publish('.overloaded/all', '')
  const ask = (path: string, options = {}) => rawRequest(nginx.origin, path, options)
  const cold = Array.from({ length: 400 }, (_, index) =>
    ask(`/image/${ID}/${500 + index}w${index % 2 === 0 ? '/x.webp' : ''}`, index % 3 === 0 ? { method: 'HEAD' } : {}),
  )
  const answers = await Promise.all(cold)
  const refused = answers.filter(({ status }) => status === 503)
  assert.ok(answers.every(({ status }) => status === 503 || status === 299))
  assert.equal(node.requests.length, answers.length - refused.length)
  assert.ok(node.requests.length > 0 && node.requests.length < 80, `${node.requests.length} of 400 were let through`)
  for (const answer of refused.filter(({ body }) => body.length > 0)) assertError(answer, 503, 'overloaded')
  for (let view = 0; view < 20; view += 1) {
    assert.equal((await ask(`/image/${ID}/400w/x.webp`)).status, 200)
    for (const [path, options] of [
      [`/image/${ID}/500w/x.webp`, { headers: { Range: 'bytes=0-9' } }],
      [`/image/${ID}/500W/x.webp`, {}],
      [`/image/${ID}/500w/x.webp`, { method: 'DELETE' }],
      [`/images/${ID}`, {}],
      ['/images', { method: 'POST', body: Buffer.alloc(10) }],
      ['/readyz', {}],
    ] as const) {
      assert.equal((await ask(path, options)).status, 299, path)
    }
  }
  await rm(flag)
  assert.equal((await ask(`/image/${ID}/500w/x.webp`)).status, 299)
})

test('A client with a flag of its own is refused what is not on disk, and no other client notices', async (t) => {
  const { nginx, publish } = await setStage(t, answerOwn)
  await publish(`${FOLDER}/400w.webp`, 'a picture')
  await publish('.overloaded/127.0.0.2', '')
  await publish('.overloaded/2001:db8::7', '')
  const ask = (index: number, options: object) =>
    rawRequest(nginx.origin, `/image/${ID}/${500 + index}w/x.webp`, options)
  for (const options of [
    { from: '127.0.0.2' },
    { headers: { 'X-Forwarded-For': '127.0.0.2' } },
    { headers: { 'X-Forwarded-For': '2001:db8::7' } },
  ]) {
    const answers = await Promise.all(Array.from({ length: 100 }, (_, index) => ask(index, options)))
    const refused = answers.filter(({ status }) => status === 503)
    assert.ok(refused.length > 60, `${refused.length} of 100 were refused`)
    for (const answer of refused) assertError(answer, 503, 'overloaded')
    assert.equal((await rawRequest(nginx.origin, `/image/${ID}/400w/x.webp`, options)).status, 200)
  }
  for (const options of [{}, { from: '127.0.0.3' }, { headers: { 'X-Forwarded-For': '2001:db8::8' } }]) {
    const answers = await Promise.all(Array.from({ length: 30 }, (_, index) => ask(index, options)))
    assert.ok(answers.every(({ status }) => status === 299))
  }
})

test('Where nginx may not look for files itself, no flag is looked for', async (t) => {
  const { nginx, publish } = await setStage(t, answerOwn, { directHits: false })
  await publish('.overloaded/all', '')
  for (let view = 0; view < 20; view += 1) {
    assert.equal((await rawRequest(nginx.origin, `/image/${ID}/500w/x.webp`)).status, 299)
  }
})

test('A process that is down with its flag up is noticed by a front all the same', async (t) => {
  const { nginx, node, publish } = await setStage(t, answerOwn)
  await publish('.overloaded/all', '')
  await node.stop()
  const headers = { 'X-Darkroom-Front': '1' }
  const asked = Array.from({ length: 400 }, (_, index) =>
    rawRequest(nginx.origin, `/image/${ID}/${500 + index}w/x.webp`, { headers }),
  )
  const answers = await Promise.allSettled(asked)
  const hungUp = answers.filter(({ status }) => status === 'rejected')
  assert.ok(hungUp.length > 0 && hungUp.length < 80, `${hungUp.length} of 400 were hung up on`)
})
