import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createS3Store } from '../../src/adapters/s3/s3-store.ts'
import { formatNodeEntry, type NodeEntry } from '../../src/domain/stored/node-entry.ts'
import { nodeKey } from '../../src/domain/stored/store-layout.ts'
import type { ObjectStore } from '../../src/service/ports/store.ts'
import { putBytes } from '../../src/service/tools/small-object.ts'
import { freePort } from '../../tools/processes/free-port.ts'
import type { Scope } from '../../tools/processes/scope.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { fixture, startDarkroom, untilLogged, upload } from '../../tools/servers/darkroom.ts'
import { startFaultProxy } from '../../tools/servers/fault-proxy.ts'
import {
  AUTHORIZATION,
  newStore,
  startNodeFor,
  startSite,
  stopAfter,
  temporaryFolder,
} from '../../tools/servers/site.ts'

const never = new AbortController().signal

async function until(isIt: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + 25_000
  while (!(await isIt())) {
    assert.ok(performance.now() < deadline, what)
    await delay(50)
  }
}

interface Listed {
  readonly nodes: readonly Record<string, unknown>[]
  readonly warnings: readonly unknown[]
}

async function nodesOf(origin: string): Promise<Listed> {
  const { status, body } = await rawRequest(origin, '/nodes', { headers: AUTHORIZATION })
  assert.equal(status, 200, body.toString())
  const { nodes, warnings } = jsonFields(body)
  assert.ok(Array.isArray(nodes) && Array.isArray(warnings))
  return { nodes: nodes.map((node) => jsonFields(JSON.stringify(node))), warnings }
}

/** A new bucket, and how to look into it behind the nodes' backs. */
async function openStore(
  t: Scope,
): Promise<{ readonly env: Readonly<Record<string, string>>; readonly store: ObjectStore }> {
  const { env, settings } = await newStore()
  const store = createS3Store(settings)
  t.after(() => store.close())
  return { env, store }
}

async function writeEntry(store: ObjectStore, entry: NodeEntry): Promise<void> {
  const bytes = Buffer.from(formatNodeEntry(entry))
  await putBytes(store, { key: nodeKey(entry.name), bytes, contentType: 'application/json', overwrite: true }, never)
}

const STRANGER: NodeEntry = {
  name: 'north',
  address: '192.0.2.9:80',
  version: '9.9.9',
  state: 'ready',
  process: 'ffffffff',
  capacity: 1,
  time: new Date().toISOString(),
  lag: {},
  load: {},
}

test('Nodes list each other with their states, and one that ends is removed', async (t) => {
  const { env, store } = await openStore(t)
  const north = await startSite(t, { ...env, NODE_NAME: 'north', NODE_ADDRESS: '10.0.0.1:80', RENDER_CONCURRENCY: '3' })
  const south = await startNodeFor(t, { env: { ...env, NODE_NAME: 'south' } })
  assert.equal((await rawRequest(north.url, '/nodes')).status, 401)
  const ready = async () => (await nodesOf(north.url)).nodes.every(({ state }) => state === 'ready')
  await until(ready, 'both are ready')
  const { nodes, warnings } = await nodesOf(north.url)
  assert.deepEqual(
    nodes.map(({ name, address, capacity }) => [name, address, capacity === 3]),
    [
      ['north', '10.0.0.1:80', true],
      ['south', undefined, false],
    ],
  )
  for (const { ageSeconds, clockSeconds, lag, load } of nodes) {
    assert.ok(Number(ageSeconds) < 10 && Math.abs(Number(clockSeconds)) < 10)
    assert.deepEqual(Object.keys(jsonFields(JSON.stringify(lag))), [
      'invalidationSeconds',
      'eventSeconds',
      'purgesPending',
    ])
    assert.equal(jsonFields(JSON.stringify(load))['rendersQueued'], 0)
  }
  assert.deepEqual(warnings, [])
  await writeEntry(store, { ...STRANGER, name: 'old' })
  assert.match((await nodesOf(north.url)).warnings.join(), /different versions: .+9\.9\.9 \(old\)/)
  await store.remove(nodeKey('old'), never)
  await south.stop()
  assert.deepEqual(
    (await nodesOf(north.url)).nodes.map(({ name }) => name),
    ['north'],
  )
})

test('A node that drains says so before it stops listening', async (t) => {
  const { env } = await openStore(t)
  const north = await startNodeFor(t, { env: { ...env, NODE_NAME: 'north', DRAIN_SECONDS: '3' } })
  const south = await startNodeFor(t, { env: { ...env, NODE_NAME: 'south' } })
  const stopped = north.stop()
  const isDraining = async () => (await nodesOf(south.url)).nodes.some(({ state }) => state === 'draining')
  await until(isDraining, 'the others see that it drains')
  assert.equal((await rawRequest(north.url, '/healthz')).status, 200)
  await stopped
  assert.equal((await nodesOf(south.url)).nodes.length, 1)
})

// FAULTS row 45.
test('A second node with the name of a living one does not start, and says which setting to change', async (t) => {
  const { env } = await openStore(t)
  const first = await startNodeFor(t, { env: { ...env, NODE_NAME: 'north', NODE_ADDRESS: '10.0.0.1:80' } })
  await assert.rejects(
    startDarkroom({ env: { ...env, NODE_NAME: 'north' } }),
    /Invalid settings:\s+NODE_NAME: another node has the name "north" \(10\.0\.0\.1:80, version [\d.]+\): set NODE_NAME to/,
  )
  assert.equal((await fetch(`${first.url}/readyz`)).status, 200)
  assert.equal((await nodesOf(first.url)).nodes[0]?.['address'], '10.0.0.1:80')
})

test('Of several nodes that start with one name at the same time, one does', async (t) => {
  const { env } = await openStore(t)
  const starting = [1, 2, 3].map(() => startDarkroom({ env: { ...env, NODE_NAME: 'north' } }))
  const outcomes = await Promise.allSettled(starting)
  const started = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
  for (const { stop } of started) stopAfter(t, stop)
  assert.equal(started.length, 1)
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') assert.match(String(outcome.reason), /NODE_NAME: another node has the name/)
  }
})

test('After kill -9, a node starts again with its name, without waiting for its old entry to expire', async (t) => {
  const { env, store } = await openStore(t)
  const settings = { ...env, NODE_NAME: 'north', CACHE_DIR: await temporaryFolder(t) }
  const port = await freePort()
  const killed = await startNodeFor(t, { env: settings, port })
  process.kill(killed.pid, 'SIGKILL')
  assert.ok(await store.stat(nodeKey('north'), never))
  // An entry that could only expire would hold up the start for ten seconds.
  const began = performance.now()
  const again = await startNodeFor(t, { env: settings, port })
  const tookMs = performance.now() - began
  t.diagnostic(`started again after ${Math.round(tookMs)} ms`)
  assert.equal((await nodesOf(again.url)).nodes.length, 1)
  assert.equal((await nodesOf(again.url)).warnings.length, 0)
})

test('A node whose entry is overwritten reports it, keeps serving, and registers again when the name is free', async (t) => {
  const { env, store } = await openStore(t)
  const node = await startNodeFor(t, { env: { ...env, NODE_NAME: 'north' } })
  // As a node on another machine renews it.
  const foreign = setInterval(() => void writeEntry(store, { ...STRANGER, time: new Date().toISOString() }), 1000)
  t.after(() => clearInterval(foreign))
  const line = await untilLogged(node, ({ msg }) => String(msg).startsWith('The entry of this node was lost'))
  assert.match(String(line['msg']), /another node has the name "north" \(192\.0\.2\.9:80, version 9\.9\.9\)/)
  assert.equal(line['level'], 'error')
  const ready = await fetch(`${node.url}/readyz`)
  assert.equal(ready.status, 200)
  assert.match(await ready.text(), /"degraded","reasons":\["This node is not registered: another node has the name/)
  assert.match(String((await nodesOf(node.url)).warnings[0]), /This node is not registered/)
  assert.equal((await upload(node.url, await fixture('mountains.jpg'))).status, 201)
  clearInterval(foreign)
  const isBack = async () => (await nodesOf(node.url)).nodes.some(({ version }) => version !== STRANGER.version)
  await until(isBack, 'the entry that is not renewed is taken over')
  await until(async () => (await nodesOf(node.url)).warnings.length === 0, 'nothing is reported any more')
})

test('While the store is away, a node starts and runs; it registers when the store is back', async (t) => {
  const { env, endpoint } = await newStore()
  const proxy = await startFaultProxy({ target: endpoint })
  stopAfter(t, proxy.stop)
  await proxy.setFault({ kind: 'refuse' })
  const settings = { ...env, S3_ENDPOINT: proxy.endpoint, NODE_NAME: 'north' }
  const node = await startNodeFor(t, { env: settings, unready: true })
  assert.equal((await rawRequest(node.url, '/nodes', { headers: AUTHORIZATION })).status, 503)
  await proxy.setFault(undefined)
  const isRegistered = async () =>
    (await rawRequest(node.url, '/nodes', { headers: AUTHORIZATION })).body.toString().includes('"state":"ready"')
  await until(isRegistered, 'it registers')
  await proxy.setFault({ kind: 'refuse' })
  await untilLogged(node, ({ msg }) => String(msg).startsWith('The entry of this node in the object store could not'))
  assert.equal((await fetch(`${node.url}/healthz`)).status, 200)
})
