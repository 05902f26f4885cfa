import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:http2'
import { connect as connectTcp } from 'node:net'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { freePort } from '../../tools/processes/free-port.ts'
import { jsonFields, type RawResponse, rawRequest } from '../../tools/requests/raw-request.ts'
import { answerOwn, FOLDER, ID, setStage, startStandInNode } from '../support/stand-in-node.ts'

const UNKNOWN = '3f2b'.padEnd(40, '0')

/** The machine itself is not limited, so these are asked from another of its addresses. */
const CLIENT = '127.0.0.2'
const OTHER = '127.0.0.3'

const SMALL = {
  'limit_req_zone $limited_client zone=to_node:10m rate=100r/s;':
    'limit_req_zone $limited_client zone=to_node:10m rate=1r/m;',
  'limit_req_zone $uploading_client zone=uploads:10m rate=20r/s;':
    'limit_req_zone $uploading_client zone=uploads:10m rate=1r/m;',
  'limit_req zone=to_node burst=1000 nodelay;': 'limit_req zone=to_node burst=9 nodelay;',
  'limit_req zone=uploads burst=100 nodelay;': 'limit_req zone=uploads burst=4 nodelay;',
} as const

function assertTooMany(answer: RawResponse): void {
  assert.equal(answer.status, 429)
  assert.equal(answer.headers['retry-after'], '1')
  assert.equal(answer.headers['cache-control'], 'no-store')
  assert.equal(answer.headers['content-type'], 'application/json')
  assert.equal(jsonFields(answer.body)['error'], 'too_many_requests')
}

const countOf = (answers: readonly RawResponse[], status: number) =>
  answers.filter((answer) => answer.status === status).length

test('A client who asks the node for too much is told so in JSON; other clients and the machine itself are not', async (t) => {
  const { nginx, node } = await setStage(t, answerOwn, { site: SMALL })
  const paths = [`/image/${ID}/400w/x.webp`, `/image/${ID}/400w`, '/s3/a/b.jpg/-/400w', '/healthz', '/images/x']
  const ask = (from: string, index: number) => rawRequest(nginx.origin, paths[index % paths.length] ?? '/', { from })
  const answers = await Promise.all(Array.from({ length: 25 }, (_, index) => ask(CLIENT, index)))
  assert.deepEqual([countOf(answers, 299), countOf(answers, 429)], [10, 15])
  for (const answer of answers) if (answer.status !== 299) assertTooMany(answer)
  assert.equal(node.requests.length, 10)
  const others = await Promise.all(
    Array.from({ length: 30 }, (_, index) => ask(index < 10 ? OTHER : '127.0.0.1', index)),
  )
  assert.equal(countOf(others, 299), 30)
})

test('A client who has had all of the node that it gets goes on to get what is on disk', async (t) => {
  const { nginx, publish } = await setStage(t, answerOwn, { site: SMALL })
  await publish(`${FOLDER}/400w.webp`, 'a picture')
  const ask = (size: string) => rawRequest(nginx.origin, `/image/${ID}/${size}/x.webp`, { from: CLIENT })
  await Promise.all(Array.from({ length: 12 }, () => ask('401w')))
  assertTooMany(await ask('402w'))
  const hits = await Promise.all(Array.from({ length: 100 }, () => ask('400w')))
  assert.equal(countOf(hits, 200), 100)
})

test('Uploads have a limit of their own, at both places that take them, however these are spelled', async (t) => {
  const { nginx, node } = await setStage(t, answerOwn, { site: SMALL })
  const upload = (path: string) =>
    rawRequest(nginx.origin, path, { method: 'POST', body: Buffer.alloc(100_000), from: CLIENT })
  const answers = await Promise.all(['/images', '/', '/images/', '//', '/Images', '//images', '/%69mages'].map(upload))
  assert.deepEqual([countOf(answers, 299), countOf(answers, 429)], [5, 2])
  for (const answer of answers) if (answer.status !== 299) assertTooMany(answer)
  assert.equal(node.requests.length, 5)
  assert.equal((await rawRequest(nginx.origin, '/', { from: CLIENT })).status, 299, 'the page is no upload')
})

test('More requests at once than a client may have are refused; those that end make room', async (t) => {
  const held: (() => void)[] = []
  const { nginx } = await setStage(t, (_, response) => held.push(() => response.writeHead(299).end()), {
    site: { 'limit_conn client_requests 512;': 'limit_conn client_requests 4;' },
  })
  const ask = () => rawRequest(nginx.origin, '/healthz', { from: CLIENT })
  const asked = Array.from({ length: 4 }, ask)
  while (held.length < 4) await new Promise(setImmediate)
  assertTooMany(await ask())
  await assertEndsMakeRoom(held, asked, ask)
})

test('A node with as many requests as it may have gets no more, but for uploads and health checks; the others hear so at once', async (t) => {
  const held: (() => void)[] = []
  const node = await startStandInNode((request, response) => {
    if (request.url?.startsWith('/image/')) held.push(() => response.writeHead(299).end())
    else answerOwn(request, response)
  })
  t.after(() => node.stop())
  const { nginx } = await setStage(t, answerOwn, {
    site: {
      'server 127.0.0.1:8080 max_conns=2560;': `server 127.0.0.1:${node.port} max_conns=4;`,
      'server 127.0.0.1:8080 max_conns=256;': `server 127.0.0.1:${node.port} max_conns=4;`,
    },
  })
  const ask = (origin = nginx.origin) => rawRequest(origin, `/image/${ID}/400w/x.webp`)
  const asked = Array.from({ length: 4 }, () => ask())
  while (held.length < 4) await new Promise(setImmediate)
  // The front has no other node to ask, and must not think that this one is down.
  for (const origin of [nginx.origin, nginx.frontOrigin]) {
    const refused = await ask(origin)
    assert.deepEqual([refused.status, refused.headers['retry-after']], [503, '2'])
    assert.equal(jsonFields(refused.body)['error'], 'unavailable')
  }
  for (const path of ['/healthz', '/readyz', '/metrics']) {
    assert.equal((await rawRequest(nginx.origin, path)).status, 299)
  }
  const upload = await rawRequest(nginx.origin, '/images', { method: 'POST', body: Buffer.alloc(100_000) })
  assert.equal(upload.status, 299)
  await assertEndsMakeRoom(held, asked, ask)
})

test('The limits as they are let a gallery of 200 thumbnails through at once over HTTP/2, on disk or not', async (t) => {
  const port = await freePort()
  const { nginx, publish } = await setStage(t, answerOwn, {
    alsoListen: `listen 127.0.0.1:${port} http2;`,
  })
  assert.ok(nginx.pid > 0)
  await publish(`${FOLDER}/400w.webp`, 'a picture')
  const statuses = await gallery(t, port, (index) => `/image/${ID}/${index % 2 === 0 ? '400w' : `${index}w`}/x.webp`)
  assert.equal(statuses.filter((status) => status === 200).length, 200)
  assert.equal(statuses.filter((status) => status === 299).length, 200)
})

/** @param held What the node holds of those that were asked for. */
async function assertEndsMakeRoom(
  held: (() => void)[],
  asked: readonly Promise<RawResponse>[],
  ask: () => Promise<RawResponse>,
): Promise<void> {
  for (const answer of held.splice(0)) answer()
  assert.equal(countOf(await Promise.all(asked), 299), 4)
  const next = ask()
  while (held.length < 1) await new Promise(setImmediate)
  held[0]?.()
  assert.equal((await next).status, 299)
}

/** Asks for 400 pictures on one connection, as a browser does. @returns their statuses */
async function gallery(t: TestContext, port: number, path: (index: number) => string): Promise<unknown[]> {
  const session = connect(`http://127.0.0.1:${port}`, {
    createConnection: () => connectTcp({ port, host: '127.0.0.1', localAddress: CLIENT }),
  })
  t.after(() => session.destroy())
  return await Promise.all(
    Array.from({ length: 400 }, async (_, index) => {
      const stream = session.request({ ':path': path(index) })
      const { promise, resolve, reject } = Promise.withResolvers<unknown>()
      stream.once('response', (headers) => resolve(headers[':status']))
      stream.once('error', reject)
      const status = await promise
      await buffer(stream)
      return status
    }),
  )
}

test('IPv6 clients with the same first 64 bits share a limit', async (t) => {
  const { nginx } = await setStage(t, answerOwn, { site: SMALL })
  const ask = async (address: string) =>
    (await rawRequest(nginx.origin, '/healthz', { headers: { 'X-Forwarded-For': address } })).status
  const addresses = Array.from({ length: 10 }, (_, index) => `2001:db8:0:7:${index}::1`)
  for (const address of addresses) assert.equal(await ask(address), 299)
  assert.equal(await ask('2001:db8:0:7::ffff'), 429)
  for (const other of ['2001:db8:0:8::1', 'fe80::1', '198.51.100.7', '::1']) assert.equal(await ask(other), 299)
})

test('A client with a flag for missing images is refused ids of which the node has no file, and nothing else', async (t) => {
  const { nginx, node, cacheDir, publish } = await setStage(t, answerOwn)
  await publish(`${FOLDER}/400w.webp`, 'a picture')
  await publish(`.not-found/${CLIENT}`, '')
  await publish('.not-found/2001:db8::7', '')
  const [unseen, reduced] = ['3f2c'.padEnd(40, '0'), '3f2d'.padEnd(40, '0')]
  for (const [kind, id] of [
    ['originals', unseen],
    ['mezzanines', reduced],
  ] as const) {
    await mkdir(join(cacheDir, kind, 'image', '3f', id.slice(2, 4)), { recursive: true })
    await writeFile(join(cacheDir, kind, 'image', '3f', id.slice(2, 4), id), '')
  }
  for (const options of [{ from: CLIENT }, { headers: { 'X-Forwarded-For': '2001:db8::7' } }]) {
    const ask = (path: string) => rawRequest(nginx.origin, path, options)
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) => ask(`/image/${UNKNOWN}/${index + 1}w${index % 2 ? '/x.webp' : ''}`)),
    )
    for (const answer of answers) {
      assertTooMany(answer)
      assert.match(String(jsonFields(answer.body)['message']), /images that do not exist/)
    }
    assert.equal((await ask(`/image/${ID}/400w/x.webp`)).status, 200)
    const others = [ID, unseen, reduced].map((id) => `/image/${id}/500w/x.webp`)
    for (const path of [...others, `/images/${UNKNOWN}`, '/healthz']) assert.equal((await ask(path)).status, 299, path)
  }
  const asked = node.requests.length
  const ask = (from?: string) => rawRequest(nginx.origin, `/image/${UNKNOWN}/500w/x.webp`, from ? { from } : {})
  for (const from of [OTHER, undefined]) assert.equal((await ask(from)).status, 299)
  assert.equal(node.requests.length, asked + 2)
})
