import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createClusterNode } from '../../tools/cluster/cluster-node.ts'
import { createViewers, type Exchange, type Viewers } from '../../tools/cluster/viewers.ts'
import { idOf, noisePicture } from '../../tools/pictures/picture.ts'
import { startFrontCommand } from '../../tools/servers/front-command.ts'
import { BACKENDS, type Haproxy, startHaproxy } from '../../tools/servers/haproxy.ts'
import { newStore, TOKEN } from '../../tools/servers/site.ts'

const PICTURES = 24
const CLIENTS = 4
const KEYS = 200
const MORE = 40
/** A frozen node gets no new request after 3 s; more is for a busy machine. */
const FROZEN_WITHIN_MS = 10_000

/** Clients that view pictures one after another until the end, half of the views in sizes that nobody has asked for. */
function startLoad(t: TestContext, viewers: Viewers, origin: string, ids: readonly string[]) {
  const exchanges: Exchange[] = []
  const over = new AbortController()
  t.after(() => over.abort())
  let sent = 0
  const client = async () => {
    while (!over.signal.aborted) {
      sent += 1
      const spec = sent % 2 === 0 ? '32w' : `${33 + (sent % 31)}w,q${30 + (sent % 60)}`
      exchanges.push(await viewers.view(origin, `/image/${ids[sent % ids.length]}/${spec}/x.webp`, 'hit'))
    }
  }
  const clients = Promise.all(Array.from({ length: CLIENTS }, client))
  return {
    /** Waits for so many further views. */
    async more(count: number): Promise<void> {
      const wanted = exchanges.length + count
      while (exchanges.length < wanted) await delay(20)
    },
    async end(): Promise<readonly Exchange[]> {
      over.abort()
      await clients
      return exchanges
    },
  }
}

/** The node that answered each request, by the log of the front. */
async function nodesOf(front: Haproxy, exchanges: readonly Exchange[]): Promise<readonly string[]> {
  const wanted = new Set(exchanges.map(({ requestId }) => requestId))
  for (;;) {
    const lines = (await front.accessLog(wanted.size)).filter((line) => wanted.has(String(line['requestId'])))
    if (lines.length < wanted.size) continue
    const nodes = new Map(lines.map((line) => [line['requestId'], String(line['node'])]))
    return exchanges.map(({ requestId }) => nodes.get(requestId) ?? '')
  }
}

/** The node of each of some originals. No route has these paths, so that any node answers at once. */
async function placement(front: Haproxy, viewers: Viewers): Promise<readonly string[]> {
  const ids = Array.from({ length: KEYS }, (_, index) => idOf(Buffer.from(`key ${index}`)))
  return await nodesOf(front, await Promise.all(ids.map((id) => viewers.view(front.origin, `/image/${id}/0`, 'probe'))))
}

async function becomes(front: Haproxy, name: string, state: string): Promise<void> {
  for (const backend of BACKENDS) await front.becomes(backend, name, state)
}

/** Nodes, of which the first so many run, a front that knows them, and load. */
async function startStage(t: TestContext, names: readonly string[], running: number) {
  const { endpoint, env } = await newStore()
  const settings = { ...env, UPLOAD_TOKENS: TOKEN, RENDER_CONCURRENCY: '1', DRAIN_SECONDS: '3', LOG_LEVEL: 'warn' }
  const nodes = await Promise.all(names.map((name) => createClusterNode(t, { name, endpoint, env: settings })))
  const started = nodes.slice(0, running)
  await Promise.all(started.map((node) => node.start()))
  const front = await startHaproxy()
  t.after(() => front.stop())
  startFrontCommand(t, { socket: front.socket, env, args: ['--interval', '1'] })
  for (const { name } of started) await becomes(front, name, 'UP')
  const viewers = createViewers()
  t.after(viewers.close)
  const load = startLoad(t, viewers, front.origin, await uploadPictures(viewers, front.origin))
  return { nodes, front, viewers, load }
}

test('From three nodes to four and back, no request fails, and few originals move', async (t) => {
  const { nodes, front, viewers, load } = await startStage(t, ['a', 'b', 'c', 'd'], 3)
  const joining = nodes[3]
  assert.ok(joining)
  const before = await placement(front, viewers)
  await joining.start()
  await becomes(front, 'd', 'UP')
  const after = await placement(front, viewers)
  const moved = after.filter((node, index) => node !== before[index])
  t.diagnostic(`${moved.length} of ${KEYS} originals moved to the fourth node`)
  assert.ok(moved.length <= KEYS * (1 / 4 + 0.05))
  await joining.stop()
  for (const backend of BACKENDS) await front.isGone(backend, 'd')
  await load.more(MORE)
  const exchanges = await load.end()
  t.diagnostic(`${exchanges.length} views`)
  const failed = exchanges.filter(({ status }) => status !== 200)
  assert.deepEqual(
    failed.map(({ path, status }) => ({ path, status })),
    [],
  )
  // The same process: nothing was reloaded.
  assert.match(await front.command('show info'), new RegExp(`^Pid: ${front.pid}$`, 'm'))
})

test('Of nodes that are killed, lose their disk, and freeze under load, only requests fail that these had accepted', async (t) => {
  const { nodes, front, load } = await startStage(t, ['a', 'b', 'c'], 3)
  const [, b, c] = nodes
  assert.ok(b && c)
  const killedAt = performance.now()
  await b.kill()
  await front.becomes('ready', 'b', 'DOWN')
  await b.start('empty')
  await becomes(front, 'b', 'UP')

  const frozenAt = performance.now()
  c.signal('SIGSTOP')
  await front.becomes('ready', 'c', 'DOWN')
  const foundAt = performance.now()
  await load.more(MORE)
  const continuedAt = performance.now()
  c.signal('SIGCONT')
  await becomes(front, 'c', 'UP')
  await load.more(MORE)

  const exchanges = await load.end()
  const places = await nodesOf(front, exchanges)
  const placed = exchanges.map((each, index) => ({ ...each, node: places[index] }))
  const failed = placed.filter(({ status }) => status !== 200)
  const excused = failed.filter(
    ({ node, begun, ended }) =>
      (node === 'b' && begun <= killedAt && ended >= killedAt) ||
      (node === 'c' && begun <= foundAt && ended > frozenAt),
  )
  t.diagnostic(`${exchanges.length} views, ${failed.length} failed: ${excused.length} that failing nodes had accepted`)
  const others = failed.filter((each) => !excused.includes(each))
  assert.deepEqual(
    others.map(({ path, status, node }) => ({ path, status, node })),
    [],
  )
  const isFrozen = ({ begun }: Exchange) => begun > foundAt && begun < continuedAt
  assert.deepEqual(new Set(placed.filter(isFrozen).map(({ node }) => node)), new Set(['a', 'b']))
  t.diagnostic(`the frozen node got no request after ${((foundAt - frozenAt) / 1000).toFixed(1)} s`)
  assert.ok(foundAt - frozenAt < FROZEN_WITHIN_MS)
  // The same process: nothing was reloaded.
  assert.match(await front.command('show info'), new RegExp(`^Pid: ${front.pid}$`, 'm'))
})

async function uploadPictures(viewers: Viewers, origin: string): Promise<readonly string[]> {
  const pictures = await Promise.all(Array.from({ length: PICTURES }, (_, index) => noisePicture(7000 + index)))
  for (const { bytes } of pictures) assert.equal((await viewers.upload(origin, '/images', bytes)).status, 201)
  return pictures.map(({ bytes }) => idOf(bytes))
}
