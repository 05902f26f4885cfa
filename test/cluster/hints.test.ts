import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { renditionFolder } from '../../src/domain/stored/cache-layout.ts'
import { freePort } from '../../tools/processes/free-port.ts'
import type { Scope } from '../../tools/processes/scope.ts'
import { rawRequest } from '../../tools/requests/raw-request.ts'
import { backgroundIsDone, type Darkroom, uploadFixture } from '../../tools/servers/darkroom.ts'
import type { NginxOptions } from '../../tools/servers/nginx.ts'
import { AUTHORIZATION, newStore, type Site, startNginxFor, startNodeFor } from '../../tools/servers/site.ts'

async function until(isIt: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + 15_000
  while (!(await isIt())) {
    assert.ok(performance.now() < deadline, what)
    await delay(20)
  }
}

/** Nodes of one store behind their own nginx, each of which knows the addresses of the others. */
async function startPeers(t: Scope, count: number, site: NginxOptions['site'] = {}): Promise<readonly Site[]> {
  const { env } = await newStore()
  const sites: Site[] = []
  for (let index = 0; index < count; index += 1) {
    const settings = { ...env, ACCEL_PREFIX: '/_renditions/', NODE_NAME: `node${index}` }
    // Of its nginx, whose own port is known only after the node has started.
    const address = `127.0.0.1:${await freePort()}`
    const node = await startNodeFor(t, { env: { ...settings, NODE_ADDRESS: address } })
    const nginx = await startNginxFor(t, node, { alsoListen: `listen ${address};`, site })
    sites.push({ node, nginx, url: nginx.origin })
  }
  for (const { node } of sites) {
    await until(async () => (await node.metric('darkroom_nodes')) === count, 'the nodes know each other')
  }
  return sites
}

const received = (node: Darkroom) => node.metric('darkroom_peer_hints_total', '{outcome="received"}')
const failed = (node: Darkroom) => node.metric('darkroom_peer_hints_total', '{outcome="failed"}')

function has({ node }: Site, id: string): boolean {
  return existsSync(join(node.cacheDir, 'renditions', renditionFolder(id)))
}

async function viewEverywhere(sites: readonly Site[], id: string): Promise<void> {
  for (const { url, node } of sites) {
    assert.equal((await rawRequest(url, `/image/${id}/40w/x.webp`)).status, 200)
    await backgroundIsDone(node)
  }
}

async function remove(origin: string, id: string): Promise<void> {
  assert.equal((await rawRequest(origin, `/images/${id}`, { method: 'DELETE', headers: AUTHORIZATION })).status, 204)
}

test('A deletion on one node is hinted to the others, which forget the image at once', async (t) => {
  const sites = await startPeers(t, 3, { 'open_file_cache_valid 1s;': 'open_file_cache_valid 0;' })
  const [first] = sites
  assert.ok(first)
  const id = await uploadFixture(first.url, 'mountains.jpg')
  // nginx keeps the file open.
  for (let times = 0; times < 3; times += 1) await viewEverywhere(sites, id)
  assert.deepEqual(await Promise.all(sites.map(({ node }) => received(node))), [0, 0, 0])
  const began = performance.now()
  await remove(first.url, id)
  await until(() => sites.every((site) => !has(site, id)), 'all nodes hide the image')
  t.diagnostic(`hidden on three nodes ${Math.round(performance.now() - began)} ms after the request`)
  for (const { url } of sites) assert.equal((await rawRequest(url, `/image/${id}/40w/x.webp`)).status, 410)
  const counts = await Promise.all(sites.map(({ node }) => received(node)))
  assert.equal(counts[0], 0)
  assert.ok(counts.slice(1).every((count) => count > 0))
})

// FAULTS row 42.
test('A peer that cannot be reached learns of a deletion by polling, and holds up neither it nor the other peers', async (t) => {
  const sites = await startPeers(t, 3)
  const [first, second, third] = sites
  assert.ok(first && second && third)
  const id = await uploadFixture(first.url, 'mountains.jpg')
  await viewEverywhere(sites, id)
  await second.nginx.stop()
  await remove(first.url, id)
  await until(() => !has(third, id), 'the peer that is reached hides the image')
  await until(() => !has(second, id), 'the peer that is not reached hides the image')
  assert.equal(await received(second.node), 0)
  assert.ok((await received(third.node)) > 0)
  await until(async () => (await failed(first.node)) > 0, 'the failure is counted')
  assert.equal((await rawRequest(second.node.url, `/image/${id}/40w/x.webp`)).status, 410)
})

test('Hints are accepted from trusted networks only, and not through a front', async (t) => {
  const { env } = await newStore()
  const node = await startNodeFor(t, { env: { ...env, ACCEL_PREFIX: '/_renditions/', NODE_NAME: 'north' } })
  const nginx = await startNginxFor(t, node)
  const hint = (origin: string, headers: Readonly<Record<string, string>> = {}) =>
    rawRequest(origin, '/peers/hint', { method: 'POST', headers })
  for (const origin of [node.url, nginx.origin]) {
    assert.equal((await hint(origin)).status, 204)
    assert.equal((await hint(origin, { 'X-Forwarded-For': '10.0.0.7' })).status, 204)
    for (const chain of ['192.0.2.7', '192.0.2.7, 10.0.0.7', '10.0.0.7, 192.0.2.7']) {
      const refused = await hint(origin, { 'X-Forwarded-For': chain })
      assert.equal(refused.status, 403, chain)
      assert.match(refused.body.toString(), /"peer_not_allowed"/)
    }
    assert.equal((await rawRequest(origin, '/peers/hint')).status, 405)
  }
  assert.equal((await hint(nginx.origin, { 'X-Darkroom-Front': '1' })).status, 404)
  for (const path of ['/peers/hint', '/PEERS/hint', '//peers/hint']) {
    assert.equal((await rawRequest(nginx.frontOrigin, path, { method: 'POST' })).status, 404, path)
  }
  const counted = await received(node)
  assert.equal(counted, 4)
  const strict = await startNodeFor(t, { env: { ...env, TRUSTED_NETWORKS: '10.0.0.0/8' } })
  assert.equal((await hint(strict.url)).status, 403)
})

test('Any number of hints starts at most twenty listings a second', async (t) => {
  const { env } = await newStore()
  const node = await startNodeFor(t, { env })
  const listings = async () => await node.metric('darkroom_endpoint_calls_total', '{endpoint="store",outcome="ok"}')
  const before = await listings()
  const began = performance.now()
  for (let sent = 0; sent < 400; sent += 1) {
    assert.equal((await rawRequest(node.url, '/peers/hint', { method: 'POST' })).status, 204)
  }
  const calls = (await listings()) - before
  const seconds = (performance.now() - began) / 1000
  // The renewal of the entry takes a few calls every three seconds, the permission checks a few more.
  assert.ok(calls <= 20 * (seconds + 1) + 4 * seconds + 10, `${calls} calls in ${seconds} s`)
})
