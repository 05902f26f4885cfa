import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { noisePicture } from '../pictures/picture.ts'
import { AUTHORIZATION, newStore, TOKEN, temporaryFolder } from '../servers/site.ts'
import { type CdnState, cdnSinks, startStandInCdn } from '../servers/stand-in-cdn.ts'
import type { FaultRow, RowScope } from './row.ts'
import { startNode, upload } from './stage.ts'

const SOON_MS = 120_000

async function until(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + SOON_MS
  while (!(await isTrue())) {
    assert.ok(performance.now() < end, `not within ${SOON_MS / 1000} s: ${what}`)
    await delay(50)
  }
}

/** Deletions while the API fails in each way; the node that delivers is killed meanwhile, and another one continues. */
async function apiFails(scope: RowScope): Promise<void> {
  const cdn = await startStandInCdn(scope)
  const { yaml, env: secrets } = cdnSinks(cdn.url)
  const path = join(await temporaryFolder(scope), 'sinks.yaml')
  await writeFile(path, yaml)
  const env = { ...(await newStore()).env, ...secrets, SINKS_FILE: path, UPLOAD_TOKENS: TOKEN }
  let node = await startNode(scope, { env })
  let seed = 4300
  const remove = async () => {
    seed += 1
    const { id, bytes } = await noisePicture(seed)
    assert.equal((await upload(scope, node.url, bytes)).status, 201)
    const { status } = await scope.tally.ask(`${node.url}/images/${id}`, { method: 'DELETE', headers: AUTHORIZATION })
    assert.equal(status, 204, 'a deletion does not wait for the CDN')
    return id
  }
  const isPurged = (id: string) => cdn.purgesOf(id).length >= 2
  const first = await remove()
  await until('the CDN purges', () => isPurged(first))

  const faults: readonly CdnState[] = scope.short ? ['503'] : ['503', '429', 'silent', 'down']
  for (const fault of faults) {
    await cdn.set(fault)
    const failed = await node.metric('darkroom_relay_failed_attempts_total')
    const id = await remove()
    await until('an attempt fails', async () => (await node.metric('darkroom_relay_failed_attempts_total')) > failed)
    process.kill(node.pid, 'SIGKILL')
    node = await startNode(scope, { env })
    await until('the new node shows the backlog', async () => (await node.metric('darkroom_relay_lag_seconds')) > 0)
    assert.equal(isPurged(id), false)
    const began = performance.now()
    await cdn.set('up')
    await until('the CDN purges what was deleted before the restart', () => isPurged(id))
    scope.says(`${fault}, node killed: purged ${Math.round((performance.now() - began) / 1000)} s after the end`)
  }
  assert.deepEqual(cdn.mistakes, [])
  await until('nothing waits any more', async () => (await node.metric('darkroom_relay_lag_seconds')) === 0)
}

export const CDN_ROWS: readonly FaultRow[] = [
  {
    row: 43,
    fault: 'CDN API down',
    what: 'The purge APIs of two CDNs answer 503 and 429, never answer, and refuse connections during deletions; kill -9 of the node meanwhile',
    run: apiFails,
    limitMs: 600_000,
  },
]
