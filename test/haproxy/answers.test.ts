import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { ERROR_HEADERS } from '../../src/domain/caching/http-caching.ts'
import { parseAnswers, rawExchange } from '../../tools/requests/raw-exchange.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { type HaproxyOptions, startHaproxy } from '../../tools/servers/haproxy.ts'
import { type Answer, ID, startStandInNode } from '../support/stand-in-node.ts'

const VIEW = `/image/${ID}/400w/x.webp`

async function setFront(t: TestContext, answer: Answer | undefined, site: HaproxyOptions['site'] = {}) {
  const node = await startStandInNode(answer ?? ((_, response) => void response.end()))
  t.after(() => node.stop())
  const nodes = answer ? [{ name: 'north-1', address: `127.0.0.1:${node.port}` }] : []
  const front = await startHaproxy({ nodes, site })
  t.after(() => front.stop())
  return front
}

/** The headers of the only request of a client. */
function headersSeen(answered: { readonly body: Buffer }) {
  return jsonFields(answered.body)
}

const echo: Answer = (request, response) => void response.end(JSON.stringify({ ...request.headers, url: request.url }))

test('The errors of HAProxy have the JSON and the headers of the node', async (t) => {
  const front = await setFront(t, undefined)
  const cases = [
    { path: VIEW, status: 503, error: 'unavailable', again: '2' },
    { path: '/metrics', status: 404, error: 'route_not_found' },
  ]
  for (const { path, status, error, again } of cases) {
    const answer = await rawRequest(front.origin, path)
    assert.deepEqual([answer.status, jsonFields(answer.body).error], [status, error])
    assert.equal(answer.headers['content-type'], 'application/json')
    assert.equal(answer.headers['retry-after'], again)
    for (const [name, value] of Object.entries(ERROR_HEADERS)) assert.equal(answer.headers[name.toLowerCase()], value)
  }
})

// HAProxy uses its own text for these until version 3.2, whatever is configured: docs/haproxy.md.
test('What is not HTTP, and what does not arrive in time, is refused without reaching a node', async (t) => {
  const front = await setFront(t, undefined, { 'timeout http-request 15s': 'timeout http-request 200ms' })
  const cases = {
    'no HTTP\r\n\r\n': 400,
    [`GET / HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`]: 400,
    'GET / HTTP/1.1\r\n': 408,
  }
  for (const [sent, status] of Object.entries(cases)) {
    const [answer] = parseAnswers(await rawExchange(front.origin, sent))
    assert.equal(answer?.status, status)
  }
})

test('A node that is too slow, or breaks off, is a 503 of the front', async (t) => {
  const front = await setFront(
    t,
    (request, response) => {
      if (request.url === '/readyz') response.end()
      else if (request.url === '/images/broken') response.socket?.end('no HTTP\r\n\r\n')
    },
    { 'timeout server 40s': 'timeout server 200ms' },
  )
  for (const path of [VIEW, '/images/broken']) {
    const { status, headers, body } = await rawRequest(front.origin, path)
    assert.deepEqual([status, headers['retry-after'], headers['cache-control']], [503, '2', 'no-store'])
    assert.equal(headers['x-front-error'], undefined)
    assert.equal(jsonFields(body).error, 'unavailable')
  }
})

test("The client's address reaches the node, from a trusted proxy too, and cookies do not", async (t) => {
  const front = await setFront(t, echo)
  const plain = headersSeen(
    await rawRequest(front.origin, VIEW, {
      from: '127.0.0.9',
      headers: {
        'X-Forwarded-For': '192.0.2.7',
        'X-Forwarded-Proto': 'https',
        Forwarded: 'for=192.0.2.8',
        Cookie: 'a=b',
        Host: 'pictures.example',
      },
    }),
  )
  assert.equal(plain['x-forwarded-for'], '127.0.0.9')
  assert.equal(plain['x-forwarded-proto'], 'http')
  assert.equal(plain['x-forwarded-host'], 'pictures.example')
  assert.equal(plain['host'], 'pictures.example')
  assert.equal(plain['x-darkroom-front'], '1')
  assert.equal(plain['cookie'], undefined)
  assert.equal(plain['forwarded'], undefined)
  assert.match(String(plain['x-request-id']), /^[0-9a-f]{32}$/)
  const headers = { 'X-Forwarded-For': '192.0.2.66, 192.0.2.7', 'X-Forwarded-Proto': 'https' }
  const proxied = headersSeen(await rawRequest(front.origin, VIEW, { headers }))
  assert.equal(proxied['x-forwarded-for'], '192.0.2.7')
  assert.equal(proxied['x-forwarded-proto'], 'https')
})

test('The access log and the exporter name the node', async (t) => {
  const front = await setFront(t, echo)
  const id = '0123456789abcdef0123456789abcdef'
  await rawRequest(front.origin, `${VIEW}?s=secret`, { from: '127.0.0.9', headers: { 'X-Request-Id': id } })
  await rawRequest(front.origin, '/image/"\\%00/x')
  await rawRequest(front.origin, '/metrics')
  const [first, second, third] = await front.accessLog(3)
  assert.deepEqual(
    [first?.['node'], first?.['backend'], first?.['status'], first?.['path'], first?.['client'], first?.['requestId']],
    ['north-1', 'ready', 200, VIEW, '127.0.0.9', id],
  )
  assert.equal(typeof first?.['milliseconds'], 'number')
  assert.ok(!Number.isNaN(Date.parse(String(first?.['time']))))
  assert.equal(second?.['path'], '/image/"\\%00/x')
  assert.deepEqual([third?.['status'], third?.['node']], [404, '<NOSRV>'])
  assert.match(
    await front.metrics(),
    /haproxy_server_http_responses_total\{proxy="ready",server="north-1",code="2xx"\} 2/,
  )
})
