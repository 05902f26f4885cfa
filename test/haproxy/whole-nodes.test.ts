import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createKeptConnection } from '../../tools/requests/kept-connection.ts'
import { rawRequest } from '../../tools/requests/raw-request.ts'
import { uploadFixture } from '../../tools/servers/darkroom.ts'
import { startFaultProxy } from '../../tools/servers/fault-proxy.ts'
import { startHaproxy } from '../../tools/servers/haproxy.ts'
import { newStore, type Site, startSite, TOKEN, temporaryFolder } from '../../tools/servers/site.ts'
import { ask, essence, newId } from '../support/path-answers.ts'
import { SPELLINGS } from '../support/path-spellings.ts'
import { startWholeSite } from '../support/whole-site.ts'

const CONCURRENCY = 4
/** A frozen node is found within 3 s; more is for a busy machine. */
const FROZEN_WITHIN_MS = 10_000

async function startFront(t: TestContext, sites: readonly Pick<Site, 'nginx'>[]) {
  const nodes = sites.map(({ nginx }, index) => ({ name: `n${index}`, address: `127.0.0.1:${nginx.port}` }))
  const front = await startHaproxy({ nodes })
  t.after(() => front.stop())
  return front
}

/** HAProxy answers these itself: it takes them for no HTTP, and has a text of its own until version 3.2. */
const NO_HTTP: ReadonlySet<string> = new Set(['*'])

test(`HAProxy and a node's nginx agree on ${SPELLINGS.length} spellings`, async (t) => {
  const site = await startWholeSite(t)
  const front = await startFront(t, [site])
  const queue = SPELLINGS.values()
  const differences: string[] = []
  const work = async () => {
    for (const spelling of queue) {
      const { id } = site
      const target = spelling.target.replace('{id}', id).replace('{ID}', id.toUpperCase())
      const askedAs = { ...spelling, target }
      const answer = await ask(front.origin, askedAs)
      if (NO_HTTP.has(target)) {
        assert.equal(answer.status, spelling.status)
        continue
      }
      const [seen, wanted] = [essence(answer, id), essence(await ask(site.origins.nginx, askedAs), id)]
      const expected = { status: spelling.status, answer: spelling.answer }
      const plain = { status: seen.status, answer: seen.answer }
      if (JSON.stringify(seen) !== JSON.stringify(wanted) || JSON.stringify(plain) !== JSON.stringify(expected))
        differences.push(
          `${JSON.stringify(spelling.target)}: ${JSON.stringify(seen)}, wanted ${JSON.stringify(wanted)}`,
        )
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, work))
  assert.deepEqual(differences, [])
})

/** Ids of some pictures and the paths of their views, made by one node of several that share a store. */
async function pictures(site: Site): Promise<readonly string[]> {
  const ids = await Promise.all(Array.from({ length: 12 }, () => newId(site.node)))
  return [...ids, await uploadFixture(site.url, 'mountains.jpg', TOKEN)].map((id) => `/image/${id}/40w.webp`)
}

test('A frozen process gets no new requests after some seconds, and an nginx that is gone costs none', async (t) => {
  const { env } = await newStore()
  const sites = [await startSite(t, env), await startSite(t, env), await startSite(t, env)]
  const [frozen, killed] = sites
  assert.ok(frozen && killed)
  const front = await startFront(t, sites)
  const paths = await pictures(killed)
  process.kill(frozen.node.pid, 'SIGSTOP')
  const since = performance.now()
  await front.becomes('ready', 'n0', 'DOWN')
  const seconds = (performance.now() - since) / 1000
  t.diagnostic(`frozen node found after ${seconds.toFixed(1)} s`)
  assert.ok(seconds * 1000 < FROZEN_WITHIN_MS)
  await killed.nginx.stop()
  const answers = await Promise.all(paths.map((path) => rawRequest(front.origin, path)))
  for (const { status } of answers) assert.equal(status, 200)
  const nodes = (await front.accessLog(paths.length)).map((line) => line['node'])
  process.kill(frozen.node.pid, 'SIGCONT')
  assert.deepEqual(new Set(nodes), new Set(['n2']))
})

test('While the store is away, pictures on the disks are served, and others are a 503', async (t) => {
  const { endpoint, env } = await newStore()
  const proxy = await startFaultProxy({ target: endpoint })
  t.after(() => proxy.stop())
  const behind = { ...env, S3_ENDPOINT: proxy.endpoint }
  const sites = [await startSite(t, behind), await startSite(t, behind)]
  const [first] = sites
  assert.ok(first)
  const front = await startFront(t, sites)
  const paths = await pictures(first)
  const views = async () => Promise.all(paths.map((path) => rawRequest(front.origin, path)))
  for (const { status } of await views()) assert.equal(status, 200)
  // Under load, renditions are published in groups.
  while (!(await views()).every(({ headers }) => headers['server-timing'] === 'cache;desc="nginx"')) await delay(50)
  await proxy.setFault({ kind: 'refuse' })
  for (const name of ['n0', 'n1']) await front.becomes('ready', name, 'DOWN')
  for (const { status, headers } of await views())
    assert.deepEqual([status, headers['server-timing']], [200, 'cache;desc="nginx"'])
  const unknown = await rawRequest(front.origin, `/image/${'e'.repeat(40)}/40w.webp`)
  assert.equal(unknown.status, 503)
})

test('While no node process runs, cached pictures are served, and a client that keeps its connection gets a 503 for others', async (t) => {
  const { env } = await newStore()
  // Outlives its node.
  const start = async () => startSite(t, { ...env, CACHE_DIR: join(await temporaryFolder(t), 'cache') })
  const sites = [await start(), await start(), await start()]
  const front = await startFront(t, sites)
  const [first] = sites
  assert.ok(first)
  const paths = await pictures(first)
  const views = async () => Promise.all(paths.map((path) => rawRequest(front.origin, path)))
  while (!(await views()).every(({ headers }) => headers['server-timing'] === 'cache;desc="nginx"')) await delay(50)
  await Promise.all(sites.map(({ node }) => node.stop()))
  for (const index of sites.keys()) await front.becomes('ready', `n${index}`, 'DOWN')
  for (const { status } of await views()) assert.equal(status, 200)
  const client = createKeptConnection(Number(new URL(front.origin).port))
  t.after(client.close)
  for (const path of [...paths.slice(0, 4), '/images', `/image/${'e'.repeat(40)}/50w.webp`, '/images']) {
    const { status, headers } = await client.get(path)
    if (paths.includes(path)) assert.equal(status, 200)
    else assert.deepEqual([status, headers.get('retry-after'), headers.get('cache-control')], [503, '2', 'no-store'])
  }
})
