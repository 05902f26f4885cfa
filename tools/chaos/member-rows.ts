import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { noisePicture } from '../pictures/picture.ts'
import { freePort } from '../processes/free-port.ts'
import { jsonFields } from '../requests/raw-request.ts'
import type { Darkroom } from '../servers/darkroom.ts'
import type { Nginx } from '../servers/nginx.ts'
import { AUTHORIZATION, newStore, startNginxFor, temporaryFolder } from '../servers/site.ts'
import type { FaultRow, RowScope } from './row.ts'
import { BEHIND_NGINX, startNode, upload } from './stage.ts'

const SOON_MS = 20_000
/** On a machine that does other things, only the order of events is certain. */
const WITHIN_MS = { whole: 2000, short: 15_000 } as const

async function until(what: string, isTrue: () => Promise<boolean>, pauseMs = 20): Promise<void> {
  const end = performance.now() + SOON_MS
  while (!(await isTrue())) {
    assert.ok(performance.now() < end, `not within ${SOON_MS / 1000} s: ${what}`)
    await delay(pauseMs)
  }
}

interface Member {
  readonly node: Darkroom
  readonly nginx: Nginx
}

/** Three nodes of one store, each of which sends hints to the nginx of the others. */
async function startMembers(scope: RowScope): Promise<readonly [Member, Member, Member]> {
  const { env } = await newStore()
  const start = async (name: string): Promise<Member> => {
    const address = `127.0.0.1:${await freePort()}`
    const node = await startNode(scope, {
      env: { ...env, ...BEHIND_NGINX, NODE_NAME: name, NODE_ADDRESS: address },
    })
    return { node, nginx: await startNginxFor(scope, node, { alsoListen: `listen ${address};` }) }
  }
  const members = [await start('node1'), await start('node2'), await start('node3')] as const
  for (const { node } of members) {
    await until('the nodes know each other', async () => (await node.metric('darkroom_nodes')) === members.length)
  }
  return members
}

/** Deletes pictures by the first node. @returns how long each of the others served them after that, at most; ms. */
async function deleteAndWatch(scope: RowScope, members: readonly Member[], seed: number): Promise<readonly number[]> {
  const [first, ...others] = members
  assert.ok(first)
  const slowest = others.map(() => 0)
  for (let number = 0; number < (scope.short ? 2 : 20); number += 1) {
    const { id, bytes } = await noisePicture(seed + number)
    assert.equal((await upload(scope, first.node.url, bytes)).status, 201)
    const view = async ({ node }: Member) => (await scope.tally.ask(`${node.url}/image/${id}/30w/x.jpg`)).status
    for (const member of members) assert.equal(await view(member), 200)
    const gone = { method: 'DELETE', headers: AUTHORIZATION }
    assert.equal((await scope.tally.ask(`${first.node.url}/images/${id}`, gone)).status, 204)
    const began = performance.now()
    await Promise.all(
      others.map(async (member, at) => {
        await until('the picture is gone', async () => (await view(member)) === 410, 5)
        slowest[at] = Math.max(slowest[at] ?? 0, performance.now() - began)
      }),
    )
  }
  for (const ms of slowest) assert.ok(ms <= WITHIN_MS[scope.short ? 'short' : 'whole'], `${Math.round(ms)} ms`)
  return slowest.map(Math.round)
}

async function hintLost(scope: RowScope): Promise<void> {
  const members = await startMembers(scope)
  const [first, second, third] = members
  const received = ({ node }: Member) => node.metric('darkroom_peer_hints_total', '{outcome="received"}')
  const reached = await deleteAndWatch(scope, members, 4200)
  assert.ok((await received(second)) > 0 && (await received(third)) > 0)
  scope.says(`with hints: gone from the other nodes within ${reached.join(' and ')} ms`)

  await second.nginx.stop()
  const before = await received(second)
  const [away = 0, there = 0] = await deleteAndWatch(scope, members, 4240)
  assert.equal(await received(second), before)
  assert.ok((await first.node.metric('darkroom_peer_hints_total', '{outcome="failed"}')) > 0)
  scope.says(`peer unreachable: gone from it within ${away} ms, from the other peer within ${there} ms`)
  scope.recovered(away)
}

async function oneName(scope: RowScope): Promise<void> {
  const { env } = await newStore()
  const cacheDir = await temporaryFolder(scope)
  const settings = { ...env, ...BEHIND_NGINX, NODE_NAME: 'node1' }
  const own = { ...settings, CACHE_DIR: cacheDir, PORT: String(await freePort()) }
  const first = await startNode(scope, { env: own })
  const { id, bytes } = await noisePicture(4500)
  assert.equal((await upload(scope, first.url, bytes)).status, 201)
  await assert.rejects(startNode(scope, { env: settings }), /NODE_NAME: another node has the name "node1"/)
  assert.equal((await scope.tally.ask(`${first.url}/image/${id}/30w/x.jpg`)).status, 200)
  const listed = await scope.tally.ask(`${first.url}/nodes`, { headers: AUTHORIZATION })
  const { nodes, warnings } = jsonFields(listed.body.toString())
  assert.ok(Array.isArray(nodes) && nodes.length === 1 && Array.isArray(warnings) && warnings.length === 0)
  scope.says('the second ends with exit code 2 and names NODE_NAME; the first serves on')

  process.kill(first.pid, 'SIGKILL')
  const began = performance.now()
  const again = await startNode(scope, { env: own })
  scope.recovered(performance.now() - began)
  assert.equal((await scope.tally.ask(`${again.url}/image/${id}/31w/x.jpg`)).status, 200)
  scope.says('after kill -9 it starts again with its name')
  await again.stop()

  const outcomes = await Promise.allSettled([1, 2, 3].map(() => startNode(scope, { env: settings })))
  const started = outcomes.filter(({ status }) => status === 'fulfilled').length
  assert.equal(started, 1)
  scope.says('of three that start at once, one does')
}

export const MEMBER_ROWS: readonly FaultRow[] = [
  {
    row: 42,
    fault: 'hint lost, peer unreachable',
    what: 'Pictures are deleted on one of three nodes, then again while the nginx of a peer is stopped',
    run: hintLost,
  },
  {
    row: 45,
    fault: 'two nodes with one name',
    what: 'A node starts with the name of a running one; that one is killed and starts again; three start at once',
    run: oneName,
  },
]
