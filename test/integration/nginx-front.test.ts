import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import {
  type Answer,
  CONTENT_SECURITY_POLICY,
  type Stage,
  setStage,
  startStandInNode,
} from '../support/stand-in-node.ts'

const COUNT = 60
/** Ids as uploads have them. */
const IDS = Array.from({ length: COUNT }, (_, index) =>
  createHash('sha256').update(String(index)).digest('hex').slice(0, 40),
)

/** Every node answers 200 with its own number. */
const number =
  (index: number): Answer =>
  (request, response) => {
    request.resume()
    request.on('end', () => response.writeHead(200, { 'X-Node': String(index) }).end(`node ${index}`))
  }

/** Nodes, each of nginx and a stand-in, and a front before them. */
async function setRing(
  t: TestContext,
  answers: readonly Answer[],
): Promise<{ nodes: readonly Stage[]; front: string }> {
  const nodes: Stage[] = []
  for (const answer of answers) nodes.push(await setStage(t, answer))
  const addresses = nodes.map(({ nginx }) => `127.0.0.1:${nginx.port}`)
  const { nginx } = await setStage(t, number(-1), { nodes: addresses })
  return { nodes, front: nginx.frontOrigin }
}

async function nodesOf(front: string, ids: readonly string[]): Promise<readonly string[]> {
  const answers = await Promise.all(ids.map((id) => rawRequest(front, `/image/${id}/400w/x.webp`)))
  return answers.map(({ status, body }) => {
    assert.equal(status, 200)
    return body.toString()
  })
}

test('All that belongs to an image goes to one node, and images spread over all', async (t) => {
  const { front } = await setRing(t, [number(0), number(1), number(2)])
  const nodes = await nodesOf(front, IDS)
  assert.equal(new Set(nodes).size, 3)
  for (const [index, id] of IDS.entries()) {
    for (const path of [
      `/image/${id}/200s`,
      `/image/${id}/80w,q10/y.gif?v=1`,
      `/images/${id}`,
      `/images/${id}/original`,
    ]) {
      assert.equal((await rawRequest(front, path)).body.toString(), nodes[index])
    }
  }
  assert.equal((await rawRequest(front, `/images/${IDS[0]}`, { method: 'DELETE' })).body.toString(), nodes[0])
})

test('Uploads spread over the nodes', async (t) => {
  const { nodes, front } = await setRing(t, [number(0), number(1)])
  const upload = () => rawRequest(front, '/images', { method: 'POST', body: 'a picture' })
  await Promise.all(Array.from({ length: COUNT }, upload))
  for (const { node } of nodes) assert.ok(node.requests.length > COUNT / 6)
})

test("With a node's nginx gone its images come from the others, and the others' images stay where they were", async (t) => {
  const { nodes, front } = await setRing(t, [number(0), number(1), number(2)])
  const before = await nodesOf(front, IDS)
  await nodes[0]?.nginx.stop()
  const after = await nodesOf(front, IDS)
  for (const [index, name] of before.entries()) {
    if (name === 'node 0') assert.notEqual(after[index], 'node 0')
    else assert.equal(after[index], name)
  }
  const uploads = Array.from({ length: 20 }, () => rawRequest(front, '/images', { method: 'POST', body: 'a picture' }))
  for (const { status } of await Promise.all(uploads)) assert.equal(status, 200)
})

test('With a node process gone, its nginx still there, its images come from the other', async (t) => {
  const { nodes, front } = await setRing(t, [number(0), number(1)])
  await nodes[0]?.node.stop()
  assert.deepEqual(new Set(await nodesOf(front, IDS)), new Set(['node 1']))
  const uploads = Array.from({ length: 20 }, () => rawRequest(front, '/images', { method: 'POST', body: 'a picture' }))
  for (const { status } of await Promise.all(uploads)) assert.equal(status, 200)
})

test('A hit on a node whose process is gone is still sent from its disk', async (t) => {
  const { nodes, front } = await setRing(t, [number(0)])
  const [id = ''] = IDS
  await nodes[0]?.publish(`image/${id.slice(0, 2)}/${id.slice(2, 4)}/${id}/400w.webp`, 'a picture')
  await nodes[0]?.node.stop()
  const { status, headers, body } = await rawRequest(front, `/image/${id}/400w/x.webp`)
  assert.equal(status, 200)
  assert.equal(body.toString(), 'a picture')
  assert.equal(headers['content-security-policy'], CONTENT_SECURITY_POLICY)
  assert.equal(headers['cache-control'], 'public, max-age=31536000, immutable')
})

test('With every node process gone, what is on the disks is still sent, and one that is back is noticed at once', async (t) => {
  const { nodes, front } = await setRing(t, [number(0), number(1)])
  const owners = await nodesOf(front, IDS)
  for (const [index, id] of IDS.entries()) {
    const owner = nodes[owners[index] === 'node 0' ? 0 : 1]
    await owner?.publish(`image/${id.slice(0, 2)}/${id.slice(2, 4)}/${id}/200w.webp`, 'a picture')
  }
  for (const { node } of nodes) await node.stop()
  const look = (spec: string) => Promise.all(IDS.map((id) => rawRequest(front, `/image/${id}/${spec}/x.webp`)))
  // Twice: when the first have failed, nginx thinks that there are no nodes at all.
  for (const { status, headers, body } of [...(await look('400w')), ...(await look('400w'))]) {
    assert.deepEqual([status, headers['retry-after'], headers['cache-control']], [503, '2', 'no-store'])
    assert.equal(jsonFields(body).error, 'unavailable')
  }
  const upload = await rawRequest(front, '/images', { method: 'POST', body: 'a picture' })
  assert.deepEqual([upload.status, jsonFields(upload.body).error], [503, 'unavailable'])
  for (const { status, headers, body } of await look('200w')) {
    assert.deepEqual([status, body.toString()], [200, 'a picture'])
    assert.equal(headers['cache-control'], 'public, max-age=31536000, immutable')
  }
  const back = await startStandInNode(number(0), nodes[0]?.node.port)
  t.after(() => back.stop())
  assert.deepEqual(new Set(await nodesOf(front, IDS)), new Set(['node 0']))
})

test('A request that kills a node process does not travel on to the next', async (t) => {
  const kill: Answer = (request) => void request.socket.destroy()
  const { nodes, front } = await setRing(t, [kill, kill])
  const { status } = await rawRequest(front, `/image/${IDS[0]}/400w/x.webp`)
  assert.equal(status, 503)
  assert.equal(nodes.flatMap(({ node }) => node.requests).length, 1)
})

test('Overload does not travel: a 503 or 429 is the answer of one node, and the node stays in the ring', async (t) => {
  for (const refusal of [503, 429]) {
    const refuse: Answer = (_, response) =>
      response.writeHead(refusal, { 'Retry-After': '3' }).end('{"error":"overloaded"}')
    const { nodes, front } = await setRing(t, [refuse, refuse])
    for (const id of IDS.slice(0, 10)) {
      const { status, headers, body } = await rawRequest(front, `/image/${id}/400w/x.webp`)
      assert.equal(status, refusal)
      assert.equal(headers['retry-after'], '3')
      assert.equal(body.toString(), '{"error":"overloaded"}')
    }
    assert.equal(nodes.flatMap(({ node }) => node.requests).length, 10)
    assert.ok(nodes.every(({ node }) => node.requests.length > 0))
  }
})

test('With all nodes gone the answer is a 503 in JSON that no cache keeps', async (t) => {
  const { nodes, front } = await setRing(t, [number(0), number(1)])
  for (const { nginx } of nodes) await nginx.stop()
  for (const id of IDS.slice(0, 5)) {
    const { status, headers, body } = await rawRequest(front, `/image/${id}/400w/x.webp`)
    assert.equal(status, 503)
    assert.equal(headers['retry-after'], '2')
    assert.equal(headers['cache-control'], 'no-store')
    assert.equal(headers['content-type'], 'application/json')
    assert.equal(jsonFields(body).error, 'unavailable')
  }
})
