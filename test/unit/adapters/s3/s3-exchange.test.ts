import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { test } from 'node:test'
import { freeBuffer } from '../../../../src/adapters/calls/free-buffer.ts'
import { exchange } from '../../../../src/adapters/s3/s3-exchange.ts'

test('a connection that is not made in time is given up', async () => {
  // A name that is never resolved.
  const silent = { lookup: () => {} } as const
  const agents = { http: new HttpAgent(silent), https: new HttpsAgent(silent) }
  for (const protocol of ['http:', 'https:']) {
    const request = { method: 'GET', protocol, hostname: 'store.example', path: '/', headers: {} } as const
    const sent = exchange(request, { agents, connectTimeoutMs: 20 }, new AbortController().signal)
    await assert.rejects(sent, { name: 'ConnectTimeoutError', code: 'ETIMEDOUT' })
  }
})

test('bodies arrive intact, and the memory of what was read from the socket is free before a collection', async (t) => {
  const body = Buffer.from(Array.from({ length: 6_000_000 }, (_, at) => at % 251))
  const server = createServer((_request, response) => response.end(body)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  const agents = { http: new HttpAgent({ keepAlive: true, maxSockets: 1 }), https: new HttpsAgent() }
  t.after(() => {
    agents.http.destroy()
    server.close()
  })
  const request = { protocol: 'http:', hostname: '127.0.0.1', port: address.port, path: '/', headers: {} } as const
  const before = process.memoryUsage().arrayBuffers
  for (let count = 0; count < 4; count += 1) {
    const options = { agents, connectTimeoutMs: 5000 }
    const response = await exchange({ ...request, method: 'GET' }, options, new AbortController().signal)
    let at = 0
    for await (const chunk of response) {
      assert.ok(chunk instanceof Buffer)
      assert.equal(body.compare(chunk, 0, chunk.length, at, at + chunk.length), 0)
      at += chunk.length
      freeBuffer(chunk)
    }
    assert.equal(at, body.length)
  }
  assert.ok(process.memoryUsage().arrayBuffers - before < body.length)
})
