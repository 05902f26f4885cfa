import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { test } from 'node:test'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { replaceSiteLines } from '../../tools/servers/nginx.ts'
import { type Answer, FOLDER, ID, setStage } from '../support/stand-in-node.ts'

const TIERS: Answer = (request, response) => {
  if (request.url?.startsWith('/healthz')) return void response.end('alive')
  if (request.url?.includes('/1w/')) return void response.writeHead(200, { 'X-Darkroom-Tier': 'miss' }).end('a picture')
  response.writeHead(200, { 'X-Accel-Redirect': `/_renditions/${FOLDER}/2w.webp`, 'X-Darkroom-Tier': 'memory' }).end()
}

test('Every request is one line of JSON that says where its picture came from and holds no query', async (t) => {
  const { nginx, publish } = await setStage(t, TIERS)
  await publish(`${FOLDER}/2w.webp`, 'a picture')
  const folder = `/image/${ID}`
  const requests = [
    [`${folder}/2w/x.webp?s=secret`, 'nginx'],
    [`${folder}/1w/x.webp`, 'miss'],
    [`${folder}/2w/x%2Ewebp?s=secret`, 'memory'],
    ['/healthz', ''],
    ['/a"b\\c', 'memory'],
    ['/_error', ''],
  ] as const
  for (const [path] of requests) {
    const { headers } = await rawRequest(nginx.origin, path)
    assert.equal(headers['x-darkroom-tier'], undefined)
  }
  const lines = await nginx.accessLog(requests.length)
  assert.equal(lines.length, requests.length)
  // In no order: each worker of nginx writes its own lines when it comes to that.
  const byPath = new Map(lines.map(jsonFields).map((line) => [line.path, line]))
  for (const [path, tier] of requests) {
    const { time, requestId, seconds, bytes, status, ...rest } = byPath.get(path.replace(/\?.*/, '')) ?? {}
    assert.ok(Date.parse(String(time)) > 0)
    assert.match(String(requestId), /^[0-9a-f]{32}$/)
    assert.equal(typeof seconds, 'number')
    assert.ok(Number(bytes) > 0)
    assert.equal(status, path === '/_error' ? 404 : 200)
    assert.deepEqual(rest, {
      level: 'info',
      msg: 'request',
      client: '127.0.0.1',
      method: 'GET',
      path: path.replace(/\?.*/, ''),
      tier,
    })
  }
  assert.ok(!lines.join().includes('secret'))
})

test("One id names a request in the front's line, the node's nginx's and the node", async (t) => {
  const seen: unknown[] = []
  const { nginx } = await setStage(t, (request, response) => {
    seen.push(request.headers['x-request-id'])
    response.end()
  })
  await rawRequest(nginx.frontOrigin, '/')
  const ids = (await nginx.accessLog(2)).map((line) => jsonFields(line).requestId)
  assert.deepEqual(ids, [seen[0], seen[0]])
})

test('A connection that says nothing sensible is a line of JSON too', async (t) => {
  const { nginx } = await setStage(t, TIERS)
  for (const bytes of [
    '\u0000\u0001"\\\r\n\r\n',
    'GET /\u00ff\u00e9 HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET /x HTTP/1.1\r\n',
  ]) {
    connect(nginx.port, '127.0.0.1')
      .on('error', () => undefined)
      .end(Buffer.from(bytes, 'latin1'))
  }
  for (const line of await nginx.accessLog(3)) assert.equal(jsonFields(line).msg, 'request')
})

test('Only lines that are marked for it can be replaced', async () => {
  const config = await readFile(new URL('../../nginx.conf', import.meta.url), 'utf8')
  assert.throws(() => replaceSiteLines(config, { 'sendfile on;': 'sendfile off;' }), /no site line/)
  assert.throws(() => replaceSiteLines(config, { 'listen [::]:80 default_server;': '' }), /no site line/)
  assert.equal(replaceSiteLines(config, {}), config)
  assert.equal(replaceSiteLines('a b;  # site: why\na b;\n', { 'a b;': 'c;' }), 'c; # site\na b;\n')
})
