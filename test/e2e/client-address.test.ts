import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawRequest } from '../../tools/requests/raw-request.ts'
import { type Darkroom, untilLogged } from '../../tools/servers/darkroom.ts'
import { startNodeFor, startSite } from '../../tools/servers/site.ts'

/** What the node's log has as the client of a request with this header. */
async function loggedClient(node: Darkroom, url: string, forwardedFor: string): Promise<unknown> {
  const path = `/none/${forwardedFor.replaceAll(/\W/g, '-')}`
  await rawRequest(url, path, { headers: { 'X-Forwarded-For': forwardedFor } })
  return (await untilLogged(node, (line) => line['path'] === path))['client']
}

test('A client that reaches a node directly cannot choose its address', async (t) => {
  const node = await startNodeFor(t)
  assert.equal(await loggedClient(node, node.url, '198.51.100.7'), '127.0.0.1')
})

test('Behind its nginx a node takes the word of nginx, and behind other proxies that of the ones it is told to trust', async (t) => {
  const { node, url } = await startSite(t)
  assert.equal(await loggedClient(node, url, '192.0.2.1, 198.51.100.7'), '198.51.100.7')
  const bare = await startNodeFor(t, { env: { TRUSTED_PROXIES: '127.0.0.0/8 203.0.113.0/24' } })
  assert.equal(await loggedClient(bare, bare.url, '192.0.2.1, 198.51.100.7, 203.0.113.9'), '198.51.100.7')
})
