import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createS3Store } from '../../src/adapters/s3/s3-store.ts'
import { serverId } from '../../src/domain/network/server-id.ts'
import { formatNodeEntry, type NodeEntry } from '../../src/domain/stored/node-entry.ts'
import { nodeKey } from '../../src/domain/stored/store-layout.ts'
import { putBytes } from '../../src/service/tools/small-object.ts'
import { rawRequest } from '../../tools/requests/raw-request.ts'
import { startDnsmasq } from '../../tools/servers/dnsmasq.ts'
import { startFaultProxy } from '../../tools/servers/fault-proxy.ts'
import { startFrontCommand } from '../../tools/servers/front-command.ts'
import { BACKENDS, type Haproxy, type HaproxyOptions, startHaproxy } from '../../tools/servers/haproxy.ts'
import { newStore } from '../../tools/servers/site.ts'
import { type Answer, type StandInNode, startStandInNode } from '../support/stand-in-node.ts'

const IDS = Array.from({ length: 1000 }, (_, index) =>
  createHash('sha256').update(String(index)).digest('hex').slice(0, 40),
)
const never = new AbortController().signal

/** Says its own name, and is ready. */
const named =
  (name: string): Answer =>
  (request, response) => {
    request.resume()
    request.on('end', () => response.end(name))
  }

async function startNode(t: TestContext, name: string, port = 0, host = '127.0.0.1'): Promise<StandInNode> {
  const node = await startStandInNode(named(name), port, host)
  t.after(() => node.stop())
  return node
}

async function startFront(t: TestContext, options: HaproxyOptions = {}): Promise<Haproxy> {
  const front = await startHaproxy(options)
  t.after(() => front.stop())
  return front
}

/** Names of the servers that HAProxy has, by backend. */
async function serversOf(front: Haproxy): Promise<readonly (readonly string[])[]> {
  const rows = (await front.command('show servers state')).split('\n').map((row) => row.split(' '))
  return BACKENDS.map((backend) => rows.flatMap(([, be, , name = '']) => (be === backend ? [name] : [])).toSorted())
}

async function becomeInUse(front: Haproxy, names: readonly string[]): Promise<void> {
  for (const backend of BACKENDS) for (const name of names) await front.becomes(backend, name, 'UP')
}

async function isGone(front: Haproxy, name: string): Promise<void> {
  for (const backend of BACKENDS) await front.isGone(backend, name)
}

async function ownersOf({ origin }: Haproxy, ids: readonly string[]): Promise<readonly string[]> {
  const owners: string[] = []
  const queue = ids.entries()
  const work = async () => {
    for (const [index, id] of queue) {
      const { status, body } = await rawRequest(origin, `/image/${id}/40w.webp`)
      assert.equal(status, 200)
      owners[index] = body.toString()
    }
  }
  await Promise.all(Array.from({ length: 8 }, work))
  return owners
}

/** The owners of originals while all these servers are in use: on a busy machine, a stand-in can answer checks too late. */
async function placement(front: Haproxy, names: readonly string[], ids: readonly string[]): Promise<readonly string[]> {
  for (;;) {
    await becomeInUse(front, names)
    const began = performance.now()
    const owners = await ownersOf(front, ids)
    const rows = (await front.command('show servers state ready')).split('\n').map((row) => row.split(' '))
    const stable = rows.filter(([, , , name = '', , state, admin, , , seconds]) => {
      const hasChanged = Number(seconds) * 1000 <= performance.now() - began
      return names.includes(name) && state === '2' && admin === '0' && !hasChanged
    })
    if (stable.length === names.length) return owners
  }
}

/** A registry in a real store, written as nodes write it. */
async function newRegistry(t: TestContext) {
  const { settings, env, endpoint } = await newStore()
  const store = createS3Store(settings)
  t.after(() => store.close())
  const fixed = { version: '0', state: 'ready', process: '00000000', capacity: 1, lag: {}, load: {} } as const
  let count = 0
  const write = async (name: string, entry: Partial<NodeEntry> = {}) => {
    // Each one differs, as the times of a node's entries do.
    count += 1
    const bytes = Buffer.from(formatNodeEntry({ name, ...fixed, time: new Date(count).toISOString(), ...entry }))
    await putBytes(store, { key: nodeKey(name), bytes, contentType: 'application/json', overwrite: true }, never)
  }
  return { env, endpoint, write, remove: (name: string) => store.remove(nodeKey(name), never) }
}

const addressOf = ({ port }: StandInNode) => ({ address: `127.0.0.1:${port}` })

test('Registered nodes are added, moved, drained and removed without a reload and without a failed request', async (t) => {
  const { env, write, remove } = await newRegistry(t)
  const nodes = await Promise.all(['a', 'b', 'c', 'd'].map((name) => startNode(t, name)))
  const [a, b, c, d] = nodes
  assert.ok(a && b && c && d)
  for (const [name, node] of Object.entries({ b, c, d })) await write(name, addressOf(node))
  const [front, other] = [await startFront(t), await startFront(t)]
  const options = { env, args: ['--interval', '1'] }
  const command = startFrontCommand(t, { socket: front.socket, ...options })
  await becomeInUse(front, ['b', 'c', 'd'])
  const ids = IDS.slice(0, 400)
  const load = startViewing(t, front, ids)

  const before = await placement(front, ['b', 'c', 'd'], ids)
  await write('a', addressOf(a))
  await becomeInUse(front, ['a'])
  // The other front learns of all nodes at once.
  startFrontCommand(t, { socket: other.socket, ...options })
  await becomeInUse(other, ['a', 'b', 'c', 'd'])
  const owners = await placement(front, ['a', 'b', 'c', 'd'], IDS)
  assert.equal(String(await placement(other, ['a', 'b', 'c', 'd'], IDS)), String(owners))
  const moved = owners.slice(0, ids.length).filter((owner, index) => owner !== before[index])
  t.diagnostic(`${moved.length} of ${ids.length} originals moved to the fourth node`)
  assert.ok(moved.length <= ids.length * (1 / 4 + 0.05))
  assert.deepEqual(new Set(moved), new Set(['a']))

  await write('a', { ...addressOf(a), state: 'draining' })
  for (const backend of BACKENDS) await front.becomes(backend, 'a', 'DRAIN')
  assert.equal(String(await placement(front, ['b', 'c', 'd'], ids)), String(before))
  await remove('a')
  await isGone(front, 'a')

  const elsewhere = await startNode(t, 'c')
  await write('c', addressOf(elsewhere))
  await command.says(/c \(127\.0\.0\.1:\d+\) moved: ready, hot, living/)
  assert.equal(String(await placement(front, ['b', 'c', 'd'], ids)), String(before))
  const { sent, failed } = await load.end()
  t.diagnostic(`${sent} views meanwhile, ${failed} failed`)
  assert.equal(failed, 0)
  // The same process: nothing was reloaded.
  assert.match(await front.command('show info'), new RegExp(`^Pid: ${front.pid}$`, 'm'))
  assert.equal(await command.end(), 0)
  assert.deepEqual(
    await serversOf(front),
    BACKENDS.map(() => ['b', 'c', 'd']),
  )
})

/** Views in turn, until the end. */
function startViewing(t: TestContext, { origin }: Haproxy, ids: readonly string[]) {
  const counts = { sent: 0, failed: 0 }
  const over = new AbortController()
  const viewing = (async () => {
    for (let index = 0; !over.signal.aborted; index += 1) {
      const { status } = await rawRequest(origin, `/image/${ids[index % ids.length]}/40w.webp`)
      counts.sent += 1
      if (status !== 200) counts.failed += 1
    }
  })()
  viewing.catch(() => undefined)
  t.after(() => over.abort())
  const end = async () => {
    over.abort()
    await viewing
    return counts
  }
  return { end }
}

test('A restart of HAProxy, of the command, or of both, is healed', async (t) => {
  const { env, write } = await newRegistry(t)
  for (const name of ['a', 'b']) await write(name, addressOf(await startNode(t, name)))
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-front-'))
  t.after(() => rm(folder, { recursive: true }))
  const socket = join(folder, 'admin.sock')
  const first = await startHaproxy({ socket })
  const command = startFrontCommand(t, { socket, env })
  await becomeInUse(first, ['a', 'b'])
  await first.stop()
  await command.says(/HAProxy is not running/)
  const second = await startFront(t, { socket })
  const since = performance.now()
  await becomeInUse(second, ['a', 'b'])
  t.diagnostic(`healed after ${((performance.now() - since) / 1000).toFixed(1)} s`)
  await command.says(/ended: .*HAProxy is not running/)
  assert.equal(await command.end('SIGKILL'), null)
  const again = startFrontCommand(t, { socket, env, args: ['--once'] })
  assert.equal(await again.ended(), 0, again.said())
  assert.equal(again.said(), '')
})

test('The last known nodes stay while the store does not respond, and while it names none', async (t) => {
  const { env, endpoint, write, remove } = await newRegistry(t)
  const proxy = await startFaultProxy({ target: endpoint })
  t.after(() => proxy.stop())
  for (const name of ['a', 'b']) await write(name, addressOf(await startNode(t, name)))
  const front = await startFront(t)
  const args = ['--interval', '1', '--keep', '10']
  const behind = { ...env, S3_ENDPOINT: proxy.endpoint, STORE_TIMEOUT_SECONDS: '2' }
  const command = startFrontCommand(t, { socket: front.socket, env: behind, args })
  await becomeInUse(front, ['a', 'b'])
  await proxy.setFault({ kind: 'refuse' })
  await command.says(/registry in the store: .*; the last known nodes stay/)
  await proxy.setFault(undefined)
  await command.says(/ended: registry in the store: /)
  for (const name of ['a', 'b']) await remove(name)
  await command.says(/registry in the store: names no node; the last known nodes stay/)
  assert.deepEqual(
    await serversOf(front),
    BACKENDS.map(() => ['a', 'b']),
  )
  // A command that has never known a node changes nothing, and tells by its exit code.
  const once = startFrontCommand(t, { socket: front.socket, env: behind, args: ['--once'] })
  assert.equal(await once.ended(), 1)
  assert.match(once.said(), /names no node; the servers of HAProxy stay as they are/)
  assert.deepEqual(
    await serversOf(front),
    BACKENDS.map(() => ['a', 'b']),
  )
})

test('Servers of the configuration and states set by the operator are left alone, and problems are told once', async (t) => {
  const { env, write } = await newRegistry(t)
  const [own, a, b] = [await startNode(t, 'own'), await startNode(t, 'a'), await startNode(t, 'b')]
  const line = `server own 127.0.0.1:${own.port} id 1 # site\n  server b 127.0.0.1:${own.port} id 2`
  const front = await startFront(t, { site: { '# server node1 192.0.2.1:80 id 1': line } })
  await write('a', addressOf(a))
  await write('b', addressOf(b))
  await write('c')
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-front-'))
  t.after(() => rm(folder, { recursive: true }))
  const metrics = join(folder, 'front.prom')
  const args = ['--interval', '1', '--metrics', metrics]
  const command = startFrontCommand(t, { socket: front.socket, env, args })
  await becomeInUse(front, ['a'])
  await command.says(/c: is registered without an address: set NODE_ADDRESS there/)
  await command.says(/b: the configuration of HAProxy has a server of that name/)
  for (const backend of BACKENDS) await front.command(`set server ${backend}/a state drain`)
  const said = command.said()
  const d = await startNode(t, 'd')
  await write('d', addressOf(d))
  await becomeInUse(front, ['d'])
  for (const backend of BACKENDS) assert.equal(await front.state(backend, 'a'), 'DRAIN')
  assert.deepEqual(
    await serversOf(front),
    BACKENDS.map(() => ['a', 'b', 'd', 'own']),
  )
  assert.doesNotMatch(command.said().slice(said.length), /NODE_ADDRESS|of that name/)
  let text = ''
  while (!text.includes('darkroom_front_members 3')) text = await readFile(metrics, 'utf8').catch(() => '')
  assert.match(text, /^darkroom_front_haproxy_available 1$/m)
  assert.match(text, /^darkroom_front_problems 2$/m)
  assert.match(text, /^darkroom_front_servers\{backend="hot"\} 4$/m)
})

test('The addresses that DNS names are servers, until they have been absent for a while', async (t) => {
  const first = await startNode(t, 'first', 0, '127.0.0.2')
  await startNode(t, 'second', first.port, '127.0.0.3')
  await startNode(t, 'third', first.port, '127.0.0.4')
  const records = (hosts: readonly number[]) => hosts.map((host) => `host-record=nodes.test,127.0.0.${host}`)
  const dns = await startDnsmasq(t, records([2, 3]))
  const front = await startFront(t)
  const args = ['--dns', 'nodes.test', '--port', String(first.port), '--dns-server', dns.server]
  const command = startFrontCommand(t, { socket: front.socket, args: [...args, '--interval', '1', '--keep', '10'] })
  const name = (host: number) => `127.0.0.${host}-${first.port}`
  await becomeInUse(front, [name(2), name(3)])
  assert.match(
    await front.command('show servers state'),
    new RegExp(` ready ${serverId(name(2))} ${name(2)} 127\\.0\\.0\\.2 `),
  )
  await dns.setRecords(records([4, 3]))
  await becomeInUse(front, [name(4)])
  assert.deepEqual(
    await serversOf(front),
    BACKENDS.map(() => [name(2), name(3), name(4)]),
  )
  await isGone(front, name(2))
  await dns.setRecords([])
  await command.says(/DNS name nodes\.test: names no node; the last known nodes stay/)
  await dns.stop()
  await command.says(/DNS name nodes\.test: .*queryA.*; the last known nodes stay/)
  assert.deepEqual(
    await serversOf(front),
    BACKENDS.map(() => [name(3), name(4)]),
  )
  assert.deepEqual(new Set(await ownersOf(front, IDS.slice(0, 40))), new Set(['second', 'third']))
})

test('SRV records name nodes by target and port, and AAAA records are used where there are no A records', async (t) => {
  const [one, other] = [await startNode(t, 'one'), await startNode(t, 'other')]
  const six = await startNode(t, 'six', 0, '::1')
  const dns = await startDnsmasq(t, [
    'host-record=n1.nodes.test,127.0.0.1',
    'host-record=n2.nodes.test,::1',
    `srv-host=_http._tcp.nodes.test,n1.nodes.test,${one.port}`,
    `srv-host=_http._tcp.nodes.test,n1.nodes.test,${other.port}`,
    `srv-host=_http._tcp.nodes.test,n2.nodes.test,${six.port}`,
  ])
  const front = await startFront(t)
  const args = ['--dns', '_http._tcp.nodes.test', '--dns-server', dns.server, '--once']
  const once = startFrontCommand(t, { socket: front.socket, args })
  assert.equal(await once.ended(), 0, once.said())
  const names = [`n1.nodes.test-${one.port}`, `n1.nodes.test-${other.port}`, `n2.nodes.test-${six.port}`]
  assert.deepEqual(
    await serversOf(front),
    BACKENDS.map(() => names.toSorted()),
  )
  await becomeInUse(front, names)
  assert.deepEqual(new Set(await ownersOf(front, IDS.slice(0, 60))), new Set(['one', 'other', 'six']))
})

test('A command without a HAProxy, or with wrong options or settings, tells by its exit code', async (t) => {
  const { env } = await newRegistry(t)
  const cases: readonly (readonly [readonly string[], Readonly<Record<string, string>>, number, RegExp])[] = [
    [['--once'], env, 1, /^front: \/nowhere\/admin\.sock: the socket does not exist: is HAProxy running/m],
    [['--dns', 'a b', '--interval', '0'], {}, 2, /^front: --dns: .*\n(?:.*\n)*?front: --interval: "0" is not a whole/m],
    [['--port', '80'], {}, 2, /^front: --port: requires --dns$/m],
    [['--once'], { ...env, STORE: 'ftp://x' }, 2, /STORE/],
  ]
  for (const [args, settings, code, message] of cases) {
    const command = startFrontCommand(t, { socket: '/nowhere/admin.sock', args, env: settings })
    assert.equal(await command.ended(), code)
    assert.match(command.said(), message)
  }
})
