import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { noisePicture } from '../pictures/picture.ts'
import { ask } from '../requests/ask.ts'
import type { Darkroom } from '../servers/darkroom.ts'
import { startIndexer } from '../servers/indexer.ts'
import { newStore, TOKEN, temporaryFolder } from '../servers/site.ts'
import type { FaultRow, RowScope } from './row.ts'
import { startNode, upload } from './stage.ts'

const REPLAY = join(import.meta.dirname, '../../scripts/replay')
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const SOON_MS = 90_000

async function until(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + SOON_MS
  while (!(await isTrue())) {
    assert.ok(performance.now() < end, `not within ${SOON_MS / 1000} s: ${what}`)
    await delay(50)
  }
}

/** Settings of a node that delivers to this URL. */
async function sinkSettings(scope: Pick<RowScope, 'after'>, url: string) {
  const path = join(await temporaryFolder(scope), 'sinks.yaml')
  await writeFile(path, `sinks:\n  indexer:\n    url: ${url}\n    secret: $INDEXER_SECRET\n`)
  return { SINKS_FILE: path, INDEXER_SECRET: SECRET, SINK_ALLOW_ADDRESSES: '127.0.0.1', UPLOAD_TOKENS: TOKEN }
}

/** Two nodes on one store, and the indexer that they deliver to. */
async function setRelay(scope: RowScope) {
  const indexer = await startIndexer(scope, SECRET)
  const env = { ...(await newStore()).env, ...(await sinkSettings(scope, indexer.url)) }
  const nodes = await Promise.all([startNode(scope, { env }), startNode(scope, { env })])
  let seed = 3400
  return {
    indexer,
    env,
    nodes,
    async uploadTo({ url }: Pick<Darkroom, 'url'>): Promise<string> {
      seed += 1
      const { id, bytes } = await noisePicture(seed)
      assert.equal((await upload(scope, url, bytes)).status, 201)
      return id
    },
    async holder(): Promise<Darkroom> {
      const found: { node?: Darkroom } = {}
      await until('a node has the lease', async () => {
        for (const node of nodes) if ((await node.metric('darkroom_relay_holder')) === 1) found.node = node
        return found.node !== undefined
      })
      assert.ok(found.node)
      return found.node
    },
    delivered: (ids: readonly string[]) =>
      until('all events are delivered', () => ids.every((id) => indexer.subjects.has(id))),
  }
}

async function sinkFails(scope: RowScope): Promise<void> {
  const { indexer, env, nodes, uploadTo, holder, delivered } = await setRelay(scope)
  const node = await holder()
  const ids: string[] = []
  for (const fault of scope.short ? (['503'] as const) : (['503', 'silent', '302'] as const)) {
    const before = indexer.posts
    indexer.answer = fault
    ids.push(await uploadTo(nodes[0]), await uploadTo(nodes[1]))
    await until('a delivery fails', () => indexer.posts > before)
    for (let times = 0; times < 5; times += 1) ids.push(await uploadTo(node))
    indexer.answer = '204'
    const began = performance.now()
    await delivered(ids)
    scope.says(
      `${fault}: ${ids.length} events arrived ${Math.round((performance.now() - began) / 1000)} s after the end`,
    )
  }
  const since = new Date(Date.now() - 3_600_000).toISOString()
  await promisify(execFile)(REPLAY, ['--since', since, 'indexer'], { env: { ...process.env, ...env } })
  await until('all events are delivered again', () => ids.every((id) => (indexer.subjects.get(id) ?? 0) >= 2))
  scope.says('scripts/replay: all again')
  const { SINK_ALLOW_ADDRESSES: _allowed, ...inside } = await sinkSettings(scope, indexer.url)
  await assert.rejects(
    startNode(scope, { env: inside }),
    /address of this host is not public \(SINK_ALLOW_ADDRESSES\)/,
    'a sink inside',
  )
  scope.says('a sink at a private address: the node does not start, and names the setting')
}

async function relayEnds(scope: RowScope): Promise<void> {
  const { indexer, nodes, uploadTo, holder, delivered } = await setRelay(scope)
  const first = await holder()
  const [second] = nodes.filter((node) => node !== first)
  assert.ok(second)
  const ids = [await uploadTo(first)]
  await delivered(ids)

  process.kill(first.pid, 'SIGSTOP')
  const frozenAt = performance.now()
  ids.push(await uploadTo(second))
  await delivered(ids)
  const frozenMs = performance.now() - frozenAt
  process.kill(first.pid, 'SIGCONT')
  await until('the frozen node answers', async () => (await ask(`${first.url}/healthz`)).status === 200)
  assert.equal(await first.metric('darkroom_relay_holder'), 0)

  process.kill(second.pid, 'SIGKILL')
  const killedAt = performance.now()
  ids.push(await uploadTo(first))
  await delivered(ids)
  const killedMs = performance.now() - killedAt
  scope.recovered(Math.max(frozenMs, killedMs))
  const duplicates = [...indexer.subjects.values()].reduce((sum, times) => sum + times - 1, 0)
  assert.equal(indexer.subjects.size, ids.length)
  scope.says(
    `frozen: the other node delivered after ${(frozenMs / 1000).toFixed(1)} s; killed: after ${(killedMs / 1000).toFixed(1)} s; ` +
      `${ids.length} events, ${duplicates} duplicates`,
  )
}

export const RELAY_ROWS: readonly FaultRow[] = [
  {
    row: 34,
    fault: 'sink down, slow, or inside',
    what: 'A webhook answers 503, never answers, and redirects, during uploads; a webhook has a private address',
    run: sinkFails,
  },
  {
    row: 39,
    fault: 'relay killed or frozen',
    what: 'SIGSTOP, then SIGKILL for the node that delivers to a webhook, with an upload to another node',
    run: relayEnds,
  },
]
