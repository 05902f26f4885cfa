import assert from 'node:assert/strict'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { test } from 'node:test'
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
