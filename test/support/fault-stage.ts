import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import type { TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { type Caller, type Staged, stagePictures, untilRecovered } from '../../tools/chaos/staged-pictures.ts'
import { noisePicture } from '../../tools/pictures/picture.ts'
import { ask, post } from '../../tools/requests/ask.ts'
import { newBucket } from '../../tools/s3/s3-bucket.ts'
import { type Darkroom, startDarkroom } from '../../tools/servers/darkroom.ts'
import { type FaultProxy, startFaultProxy } from '../../tools/servers/fault-proxy.ts'

/** A node before a store, and pictures in different places. */
export interface FaultStage extends Staged {
  readonly proxy: FaultProxy
  /** What no answer may tell. */
  readonly secrets: readonly string[]
}

/** A node before a store seen through a proxy without a fault as yet. */
export async function setFaultStage(t: TestContext): Promise<FaultStage> {
  const { bucket, endpoint, credentials } = await newBucket()
  const { accessKeyId = '', secretAccessKey = '' } = credentials ?? {}
  const proxy = await startFaultProxy({ target: endpoint })
  t.after(() => proxy.stop())
  const node = await startS3Node(t, { endpoint: proxy.endpoint, bucket, accessKeyId, secretAccessKey })
  const caller: Caller = { node, url: node.url, ask, post: (bytes) => post(node.url, bytes) }
  const { port } = new URL(proxy.endpoint)
  const secrets = [bucket, accessKeyId, secretAccessKey, port]
  const pictures = await stagePictures(caller)
  await firstSweepIsOver(node.cacheDir)
  return { ...caller, ...pictures, proxy, secrets }
}

/** Its files come and go beside the pictures. */
async function firstSweepIsOver(cacheDir: string): Promise<void> {
  for (;;) {
    const names = await readdir(cacheDir)
    if (names.includes('.sweep-clock') && !names.includes('.sweep.lock')) return
    await delay(20)
  }
}

export interface NodeAccess {
  readonly endpoint: string
  readonly bucket: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

export async function startS3Node(t: TestContext, access: NodeAccess): Promise<Darkroom> {
  const node = await startDarkroom({
    unready: true,
    env: {
      STORE: `s3://${access.bucket}`,
      S3_ENDPOINT: access.endpoint,
      AWS_ACCESS_KEY_ID: access.accessKeyId,
      AWS_SECRET_ACCESS_KEY: access.secretAccessKey,
    },
  })
  t.after(() => node.stop())
  return node
}

/** All that failed is right without a restart. */
export async function assertRecovered(t: TestContext, stage: FaultStage): Promise<void> {
  const times = await untilRecovered(stage)
  t.diagnostic(`right again after ${times.map(Math.round).join(', ')} ms: GET, POST, ready`)
  const { bytes } = await noisePicture(4)
  assert.equal((await stage.post(bytes)).status, 201)
  assert.equal((await ask(`${stage.url}/images/${stage.fresh.id}`)).status, 200)
}
