import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { z } from 'zod'
import { parseWebhookSecret, webhookHeaders } from '../../src/domain/info/webhook.ts'
import { noisePicture } from '../../tools/pictures/picture.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import type { Darkroom } from '../../tools/servers/darkroom.ts'
import { AUTHORIZATION, newStore, startNodeFor, TOKEN, temporaryFolder } from '../../tools/servers/site.ts'

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const Events = z.array(z.object({ id: z.string(), type: z.string(), subject: z.string() }))
const ROOT = join(import.meta.dirname, '../..')

/** An indexer that checks signatures as Standard Webhooks describes it, and fails while `status` says so. */
async function startIndexer(t: TestContext) {
  const indexer = { status: 204, posts: 0, subjects: new Map<string, number>(), url: '' }
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      indexer.posts += 1
      const { 'webhook-id': id = '', 'webhook-timestamp': time = '', 'webhook-signature': signature } = request.headers
      assert.ok(Math.abs(Number(time) - Date.now() / 1000) < 300)
      const expected = webhookHeaders({ id: String(id), body }, [parseWebhookSecret(SECRET)], Number(time))
      const isAuthentic = expected['webhook-signature'] === signature
      assert.equal(request.headers['content-type'], 'application/cloudevents-batch+json')
      const status = isAuthentic ? indexer.status : 401
      if (status < 300) {
        for (const { subject } of Events.parse(JSON.parse(body)))
          indexer.subjects.set(subject, (indexer.subjects.get(subject) ?? 0) + 1)
      }
      response.writeHead(status).end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => void server.close())
  const address: AddressInfo | string | null = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  indexer.url = `http://127.0.0.1:${address.port}/events`
  return indexer
}

async function writeSinks(t: TestContext, url: string) {
  const path = join(await temporaryFolder(t), 'sinks.yaml')
  await writeFile(path, `sinks:\n  indexer:\n    url: ${url}\n    secret: $INDEXER_SECRET\n`)
  return { SINKS_FILE: path, INDEXER_SECRET: SECRET, SINK_ALLOW_ADDRESSES: '127.0.0.1', UPLOAD_TOKENS: TOKEN }
}

async function uploadTo({ url }: Darkroom, seed: number): Promise<string> {
  const { bytes } = await noisePicture(seed)
  const headers = { 'Content-Type': 'image/png', ...AUTHORIZATION }
  const { status, body } = await rawRequest(url, '/images', { method: 'POST', headers, body: bytes })
  assert.equal(status, 201, body.toString())
  return String(jsonFields(body)['id'])
}

const SOON_MS = 60_000

async function until(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + SOON_MS
  while (!(await isTrue())) {
    assert.ok(performance.now() < end, what)
    await delay(50)
  }
}

const isHolder = async (node: Darkroom) => (await node.metric('darkroom_relay_holder')) === 1

test('A webhook that fails, a killed relay and a frozen one lose no event, and uploads go on', async (t) => {
  const indexer = await startIndexer(t)
  const env = { ...(await newStore()).env, ...(await writeSinks(t, indexer.url)) }
  const nodes = await Promise.all([startNodeFor(t, { env }), startNodeFor(t, { env })])
  const holderOf = async () => {
    for (const node of nodes) if (await isHolder(node)) return node
    return undefined
  }
  await until('a node has the lease', async () => (await holderOf()) !== undefined)

  indexer.status = 503
  const ids = [await uploadTo(nodes[0], 1), await uploadTo(nodes[1], 2)]
  await until('a delivery fails', () => indexer.posts > 0)
  indexer.status = 204
  await until('both events arrive', () => ids.every((id) => indexer.subjects.has(id)))

  const first = await holderOf()
  const [second] = nodes.filter((node) => node !== first)
  assert.ok(first !== undefined && second !== undefined)
  process.kill(first.pid, 'SIGSTOP')
  const frozenAt = performance.now()
  ids.push(await uploadTo(second, 3))
  await until('the other node delivers', () => ids.every((id) => indexer.subjects.has(id)))
  t.diagnostic(`failover after ${Math.round(performance.now() - frozenAt)} ms`)
  process.kill(first.pid, 'SIGCONT')
  await until('the first node answers', async () => (await rawRequest(first.url, '/healthz')).status === 200)
  assert.equal(await isHolder(first), false)

  process.kill(second.pid, 'SIGKILL')
  ids.push(await uploadTo(first, 4))
  await until('the first node delivers', () => ids.every((id) => indexer.subjects.has(id)))
  assert.equal(indexer.subjects.size, ids.length)

  const before = indexer.posts
  const since = ['--since', new Date(Date.now() - 3_600_000).toISOString()]
  await promisify(execFile)(join(ROOT, 'scripts/replay'), [...since, 'indexer'], { env: { ...process.env, ...env } })
  await until('all events are delivered again', () => ids.every((id) => (indexer.subjects.get(id) ?? 0) >= 2))
  assert.ok(indexer.posts > before)
})

test('A sink at an address that is not public prevents the start, unless it is allowed', async (t) => {
  const env = await writeSinks(t, 'http://127.0.0.1:1/events')
  const { SINK_ALLOW_ADDRESSES: _allowed, ...closed } = env
  await assert.rejects(startNodeFor(t, { env: closed }), /address of this host is not public \(SINK_ALLOW_ADDRESSES\)/)
})
