import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createS3Store } from '../../src/adapters/s3/s3-store.ts'
import { noisePicture } from '../pictures/picture.ts'
import { assertUnavailable } from '../requests/ask.ts'
import { replicate } from '../s3/replicate.ts'
import { newBucket } from '../s3/s3-bucket.ts'
import { startSeaweedfs } from '../s3/seaweedfs.ts'
import type { FaultRow, RowScope } from './row.ts'
import { assertRecovers, setStage } from './stage.ts'

async function behind(scope: RowScope): Promise<void> {
  const second = await startSeaweedfs()
  scope.after(second.stop)
  const copies = await newBucket(second)
  const entry = `s3://${copies.bucket}?endpoint=${copies.endpoint}`
  const stage = await setStage(scope, { env: { STORE_REPLICAS: entry } })
  const { node, url, proxy, late } = stage
  const [from, to] = [createS3Store(stage.store), createS3Store(copies)]
  scope.after(() => from.close())
  scope.after(() => to.close())
  await replicate(from, to, new AbortController().signal)
  const lagging = await noisePicture(50)
  assert.equal((await stage.post(lagging.bytes)).status, 201)
  await rm(join(node.cacheDir, 'originals'), { recursive: true })

  await proxy.setFault({ kind: 'refuse' })
  const [known, replicated, missing, nowhere, upload] = await Promise.all([
    stage.ask(stage.knownUrl),
    stage.ask(stage.freshUrl),
    stage.ask(`${url}/image/${lagging.id}/40w/x.jpg`),
    stage.ask(`${url}/image/${'0'.repeat(40)}/40w/x.jpg`),
    stage.post(late.bytes),
  ])
  assert.deepEqual([known.status, replicated.status], [200, 200])
  for (const answer of [missing, nowhere, upload]) assertUnavailable(answer, /^store_unavailable$/)
  const reads = await node.metric('darkroom_store_reads_total', '{endpoint="replica:1"}')
  assert.ok(reads > 0)
  scope.says(
    `cached 200, from the replica 200 after ${Math.round(replicated.ms)} ms; not in the replica 503, an upload 503; ${reads} reads from the replica`,
  )
  await proxy.setFault(undefined)
  await assertRecovers(scope, stage)
  assert.equal((await stage.ask(`${url}/image/${lagging.id}/40w/x.jpg`)).status, 200)
}

export const REPLICA_ROWS: readonly FaultRow[] = [
  {
    row: 44,
    fault: 'replica behind the primary',
    what: 'The primary store refuses connections, and a replica lacks the last upload',
    run: behind,
  },
]
