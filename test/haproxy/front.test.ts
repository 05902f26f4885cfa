import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { type TestContext, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createKeptConnection } from '../../tools/requests/kept-connection.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { BACKENDS, type Haproxy, type HaproxyOptions, startHaproxy } from '../../tools/servers/haproxy.ts'
import { type Answer, type StandInNode, startStandInNode } from '../support/stand-in-node.ts'

const IDS = Array.from({ length: 1000 }, (_, index) =>
  createHash('sha256').update(String(index)).digest('hex').slice(0, 40),
)
const [ID = ''] = IDS
const view = (id = ID) => `/image/${id}/400w/x.webp`
const CHECKS: ReadonlySet<string | undefined> = new Set(['/readyz'])

/** Answers with its own number; checks are answered 200. */
const number =
  (index: number): Answer =>
  (request, response) => {
    request.resume()
    request.on('end', () => response.writeHead(200, { 'X-Node': String(index) }).end(`node ${index}`))
  }

/** The same for checks, and another answer for everything else. */
const checked =
  (answer: Answer): Answer =>
  (request, response) =>
    CHECKS.has(request.url) ? void response.end() : answer(request, response)

interface Ring {
  readonly nodes: readonly StandInNode[]
  readonly front: Haproxy
}

/** Stand-in nodes and a front, until the test ends. */
async function setRing(t: TestContext, answers: readonly Answer[], site?: HaproxyOptions['site']): Promise<Ring> {
  const nodes = await Promise.all(answers.map((answer) => startStandInNode(answer)))
  for (const node of nodes) t.after(() => node.stop())
  return { nodes, front: await startFront(t, nodes, site) }
}

async function startFront(
  t: TestContext,
  nodes: readonly StandInNode[],
  site: HaproxyOptions['site'] = {},
): Promise<Haproxy> {
  const named = nodes.map(({ port }, index) => ({ name: `n${index}`, address: `127.0.0.1:${port}` }))
  const front = await startHaproxy({ nodes: named, site })
  t.after(() => front.stop())
  return front
}

/** Requests other than checks that reached a node. */
function served({ requests }: StandInNode): readonly string[] {
  return requests.filter((request) => !CHECKS.has(request.split(' ')[1]))
}

async function nodeOf({ origin }: Haproxy, path: string, method = 'GET'): Promise<string> {
  const { status, body } = await rawRequest(origin, path, { method })
  assert.equal(status, 200, path)
  return body.toString()
}

async function nodesOf(front: Haproxy, ids: readonly string[]): Promise<readonly string[]> {
  const nodes: string[] = []
  for (let start = 0; start < ids.length; start += 50) {
    nodes.push(...(await Promise.all(ids.slice(start, start + 50).map((id) => nodeOf(front, view(id))))))
  }
  return nodes
}

test('Two fronts choose the same node for 1,000 of 1,000 originals, whatever the order of their lists', async (t) => {
  const { nodes, front } = await setRing(t, [number(0), number(1), number(2), number(3)])
  const named = nodes.map(({ port }, index) => ({ name: `n${index}`, address: `127.0.0.1:${port}` }))
  const other = await startHaproxy({ nodes: named.toReversed() })
  t.after(() => other.stop())
  // On a busy machine, the stand-ins in this process could answer checks too late.
  for (const index of nodes.keys())
    for (const each of [front, other]) await each.command(`disable health ready/n${index}`)
  const owners = await nodesOf(front, IDS)
  assert.deepEqual(await nodesOf(other, IDS), owners)
  const shares = [0, 1, 2, 3].map((index) => owners.filter((owner) => owner === `node ${index}`).length)
  t.diagnostic(`originals by node: ${shares.join(', ')}`)
  for (const share of shares) assert.ok(share > 150 && share < 350)
})

test('A node that leaves moves only its own originals', async (t) => {
  const { front } = await setRing(t, [number(0), number(1), number(2), number(3)])
  const ids = IDS.slice(0, 400)
  const before = await nodesOf(front, ids)
  for (const backend of BACKENDS) await front.command(`set server ${backend}/n2 state maint`)
  const after = await nodesOf(front, ids)
  for (const [index, owner] of before.entries()) {
    if (owner === 'node 2') assert.notEqual(after[index], 'node 2')
    else assert.equal(after[index], owner)
  }
})

const UPPER = ID.toUpperCase()
const OBJECT = 's3://photos/mine/a b.jpg'
const REMOTE = 'https://Images.test/a%20b.jpg?v=1'
const encoded = (text: string) => Buffer.from(text).toString('base64url')
/** URLs of one original each, and their method if it is not GET. */
const SAME: Readonly<Record<string, readonly string[]>> = {
  'an upload': [
    view(),
    `/image/${ID}/200s`,
    `/image/${ID}/80w,q10/y.gif?v=1`,
    `/image/${UPPER}/40w`,
    `/image/%${ID.charCodeAt(0).toString(16)}${ID.slice(1)}/40w`,
    `http://pictures.example/image/${ID}/40w`,
    `/images/${ID}`,
    `/images/${ID}/info`,
    `/images/${ID}/original`,
    `/thumbor/unsafe/300x200/image/${ID}`,
    `/thumbor/c2lnbmF0dXJl=/fit-in/300x200/left/smart/filters:format(webp):quality(80)/${ID}`,
    `/imgproxy/insecure/rs:fill:300:200/plain/image/${ID}@webp`,
    `/imgproxy/insecure/w:300/${encoded(`image/${ID}`)}.webp`,
    `/ipx/w_300,f_webp/image/${ID}`,
  ],
  'an object': [
    '/s3/photos/mine/a%20b.jpg/-/40w.webp',
    '/s3/photos/mine/a%20b.jpg/-/info',
    '/s3/photos/mine%2Fa%20b.jpg/-/80w/x.png?v=3',
    '/s3/photos/mine/a%20b.jpg/-/40w?versionId=abc',
    `/thumbor/unsafe/40x0/${encodeURIComponent(OBJECT)}`,
    `/thumbor/unsafe/40x0/b64:${encoded(OBJECT)}`,
    `/imgproxy/insecure/w:40/plain/${encodeURIComponent(OBJECT)}`,
    '/imgproxy/insecure/w:40/plain/s3:/photos/mine/a%20b.jpg',
    `/imgproxy/insecure/w:40/${encoded(OBJECT).replace(/.{8}/, '$&/')}.webp`,
    '/ipx/w_40/s3://photos/mine/a%20b.jpg?versionId=abc',
  ],
  'a remote image': [
    `/image?url=${encodeURIComponent(REMOTE)}&size=40w`,
    `/image?size=80w&format=webp&url=${encodeURIComponent(REMOTE)}`,
    `/image?url=${encodeURIComponent(REMOTE)}&size=info`,
    `/v1/width/40/${REMOTE}`,
    `/v1/square/90/format/png/${encodeURIComponent(REMOTE)}`,
    '/v1/width/40/https:/images.test:443/a%20b.jpg?v=1',
    `/thumbor/unsafe/40x0/${encodeURIComponent(REMOTE)}`,
    `/thumbor/unsafe/fit-in/40x30/filters:quality(80)/${REMOTE}`,
    `/imgproxy/insecure/w:40/plain/${encodeURIComponent(REMOTE)}@webp`,
    `/imgproxy/insecure/w:40/${encoded(REMOTE)}`,
    `/ipx/_/${REMOTE}`,
  ],
}

test('All sizes, formats, records and deletions of an original, in all grammars, go to one node', async (t) => {
  const { front } = await setRing(
    t,
    Array.from({ length: 8 }, (_, index) => number(index)),
  )
  for (const [what, paths] of Object.entries(SAME)) {
    const owners = await Promise.all(paths.map((path) => nodeOf(front, path)))
    const byPath = Object.fromEntries(paths.map((path, index) => [path, owners[index]]))
    assert.equal(new Set(owners).size, 1, `${what}: ${JSON.stringify(byPath, undefined, 1)}`)
  }
  assert.equal(await nodeOf(front, `/images/${ID}`, 'DELETE'), await nodeOf(front, view()))
})

test('Uploads are distributed in turn', async (t) => {
  const { nodes, front } = await setRing(t, [number(0), number(1)])
  const upload = () => rawRequest(front.origin, '/images', { method: 'POST', body: 'a picture' })
  await Promise.all(Array.from({ length: 40 }, upload))
  for (const node of nodes) assert.ok(served(node).length >= 15)
})

test('Only an original with a high request rate is spread over the nodes, by its requests in flight', async (t) => {
  const held: (() => void)[] = []
  const hold = checked((_, response) => void held.push(() => response.end('done')))
  const { nodes, front } = await setRing(t, [hold, hold, hold, hold], {
    'use_backend hot if { sc0_http_req_rate(originals) gt 500 }':
      'use_backend hot if { sc0_http_req_rate(originals) gt 40 }',
  })
  const ask = async (count: number) => {
    const answers = Array.from({ length: count }, () => rawRequest(front.origin, view()))
    while (held.length < count) await Promise.race([...answers, nextTurn()])
    for (const release of held.splice(0)) release()
    for (const { status } of await Promise.all(answers)) assert.equal(status, 200)
  }
  await ask(40)
  assert.deepEqual(
    nodes.map((node) => served(node).length).toSorted((a, b) => a - b),
    [0, 0, 0, 40],
  )
  const before = nodes.map((node) => served(node).length)
  await ask(80)
  const more = nodes.map((node, index) => served(node).length - (before[index] ?? 0))
  t.diagnostic(`80 requests in flight for a hot original: ${more.join(', ')}`)
  // 1.25 times the mean of 20, and one that HAProxy rounds up.
  assert.ok(Math.max(...more) <= 26, more.join(', '))
})

test('A 503 or 429 is the answer of one node, and the node stays in use', async (t) => {
  for (const refusal of [503, 429, 502, 504]) {
    const refuse = checked(
      (_, response) => void response.writeHead(refusal, { 'Retry-After': '3' }).end('{"error":"overloaded"}'),
    )
    const { nodes, front } = await setRing(t, [refuse, refuse])
    for (const id of IDS.slice(0, 10)) {
      const { status, headers, body } = await rawRequest(front.origin, view(id))
      assert.deepEqual([status, headers['retry-after'], body.toString()], [refusal, '3', '{"error":"overloaded"}'])
    }
    assert.equal(nodes.flatMap((node) => served(node)).length, 10)
    assert.ok(nodes.every((node) => served(node).length > 0))
  }
})

test('A view or an upload whose connection a node closes goes to the next one, a deletion does not', async (t) => {
  const hangUp = checked((request: IncomingMessage) => void request.socket.destroy())
  const { nodes, front } = await setRing(t, [hangUp, number(1)])
  for (const id of IDS.slice(0, 20)) assert.equal(await nodeOf(front, view(id)), 'node 1')
  for (let count = 0; count < 4; count += 1) {
    const { status } = await rawRequest(front.origin, '/images', { method: 'POST', body: 'a picture' })
    assert.equal(status, 200)
  }
  const [failing] = nodes
  assert.ok(failing)
  const before = served(failing).length
  const answers = await Promise.all(
    IDS.slice(0, 20).map((id) => rawRequest(front.origin, `/images/${id}`, { method: 'DELETE' })),
  )
  const failed = answers.filter(({ status }) => status === 503)
  assert.equal(served(failing).length - before, failed.length)
  assert.ok(failed.length > 0 && failed.every(({ body }) => jsonFields(body).error === 'unavailable'))
})

test('A request to a node whose process does not run goes to the next one; if none is left, it is a 503 each time', async (t) => {
  const down = checked(
    (request, response) => void response.writeHead(request.headers['x-darkroom-next-node'] ? 425 : 500).end(),
  )
  const { front } = await setRing(t, [down, number(1)])
  for (const id of IDS.slice(0, 20)) assert.equal(await nodeOf(front, view(id)), 'node 1')
  for (let count = 0; count < 4; count += 1) {
    const { status } = await rawRequest(front.origin, '/images', { method: 'POST', body: 'a picture' })
    assert.equal(status, 200)
  }
  const { front: lost } = await setRing(t, [down, down])
  const client = createKeptConnection(Number(new URL(lost.origin).port))
  t.after(client.close)
  for (const id of IDS.slice(0, 3)) {
    const { status, headers, body } = await client.get(view(id))
    assert.deepEqual([status, headers.get('retry-after'), jsonFields(body).error], [503, '2', 'unavailable'])
  }
})

test('A node that is gone costs no request: its originals come from the others until it is back', async (t) => {
  const { nodes, front } = await setRing(t, [number(0), number(1), number(2)])
  const ids = IDS.slice(0, 60)
  const before = await nodesOf(front, ids)
  await nodes[0]?.stop()
  const after = await nodesOf(front, ids)
  for (const [index, owner] of before.entries()) {
    if (owner === 'node 0') assert.notEqual(after[index], 'node 0')
    else assert.equal(after[index], owner)
  }
  await front.becomes('ready', 'n0', 'DOWN')
  const back = await startStandInNode(number(0), nodes[0]?.port)
  t.after(() => back.stop())
  await front.becomes('ready', 'n0', 'UP')
  assert.deepEqual(await nodesOf(front, ids), before)
})

test('A node is drained through the socket without a failed request, and gets no new ones', async (t) => {
  const held: (() => void)[] = []
  const hold = checked((_, response) => void held.push(() => response.end('node 0')))
  const { nodes, front } = await setRing(t, [hold, number(1)])
  const ids = IDS.slice(0, 40)
  const asked = ids.map((id) => rawRequest(front.origin, view(id)))
  const others = () => (nodes[1] ? served(nodes[1]).length : 0)
  while (held.length + others() < ids.length) await nextTurn()
  for (const backend of BACKENDS) assert.equal(await front.command(`set server ${backend}/n0 state drain`), '')
  assert.deepEqual(new Set(await nodesOf(front, ids)), new Set(['node 1']))
  assert.ok(held.length > 0)
  for (const release of held) release()
  for (const { status } of await Promise.all(asked)) assert.equal(status, 200)
})

test('While no node is ready, all that live stay in use, each for its own originals', async (t) => {
  let isReady = true
  const node =
    (index: number): Answer =>
    (request, response) => {
      if (request.url === '/readyz') response.writeHead(isReady ? 200 : 503).end()
      else number(index)(request, response)
    }
  const { nodes, front } = await setRing(t, [node(0), node(1), node(2)])
  const ids = IDS.slice(0, 60)
  const before = await nodesOf(front, ids)
  isReady = false
  for (const name of ['n0', 'n1', 'n2']) await front.becomes('ready', name, 'DOWN')
  assert.deepEqual(await nodesOf(front, ids), before)
  await nodes[1]?.stop()
  await front.becomes('living', 'n1', 'DOWN')
  assert.deepEqual(new Set(await nodesOf(front, ids)), new Set(['node 0', 'node 2']))
  isReady = true
  await front.becomes('ready', 'n0', 'UP')
  await front.becomes('ready', 'n2', 'UP')
})
