import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { assertPicture, noisePicture, type Picture } from '../../tools/pictures/picture.ts'
import { type Answer, ask, post, recoversIn } from '../../tools/requests/ask.ts'
import { AUTHORIZATION } from '../../tools/requests/token.ts'
import { newBucket } from '../../tools/s3/s3-bucket.ts'
import { type Darkroom, startDarkroom } from '../../tools/servers/darkroom.ts'
import { type FaultProxy, startFaultProxy } from '../../tools/servers/fault-proxy.ts'

/** A node before a store, and pictures in different places. */
export interface FaultStage {
  readonly node: Darkroom
  readonly proxy: FaultProxy
  /** In the cache. */
  readonly known: Picture
  readonly knownUrl: string
  /** In the store alone. */
  readonly fresh: Picture
  readonly freshUrl: string
  /** Not uploaded yet. */
  readonly late: Picture
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
  const [known, fresh, late] = await Promise.all([noisePicture(1), noisePicture(2, 400, 300), noisePicture(3)])
  for (const { bytes } of [known, fresh]) assert.equal((await post(node.url, bytes)).status, 201)
  const knownUrl = `${node.url}/image/${known.id}/40w/x.jpg`
  assert.equal((await ask(knownUrl)).status, 200)
  await rm(join(node.cacheDir, 'originals'), { recursive: true })
  const { port } = new URL(proxy.endpoint)
  const secrets = [bucket, accessKeyId, secretAccessKey, port]
  return { node, proxy, known, knownUrl, fresh, freshUrl: `${node.url}/image/${fresh.id}/40w/x.jpg`, late, secrets }
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

/** Asks a dozen times for the picture that is cached. @returns ms of the median answer. */
export async function cachedAnswers({ knownUrl }: FaultStage): Promise<number> {
  const times: number[] = []
  for (let count = 0; count < 12; count += 1) {
    const { status, body, ms } = await ask(knownUrl)
    assert.equal(status, 200)
    await assertPicture(body, { format: 'jpeg', width: 40 })
    times.push(ms)
  }
  return times.toSorted((a, b) => a - b)[6] ?? 0
}

/** All that failed is right without a restart. */
export async function assertRecovered(t: TestContext, { node, freshUrl, fresh, late }: FaultStage): Promise<void> {
  const right = ({ status }: Answer): boolean => status === 200 || status === 201
  const [shown, taken, ready] = await Promise.all([
    recoversIn(() => ask(freshUrl), right),
    recoversIn(() => post(node.url, late.bytes), right),
    recoversIn(() => ask(`${node.url}/readyz`), right),
  ])
  t.diagnostic(`right again after ${[shown, taken, ready].map(Math.round).join(', ')} ms: GET, POST, ready`)
  await assertPicture((await ask(freshUrl)).body, { format: 'jpeg', width: 40 })
  const { bytes } = await noisePicture(4)
  assert.equal((await post(node.url, bytes)).status, 201)
  const original = await ask(`${node.url}/images/${late.id}/original`, { headers: AUTHORIZATION })
  assert.deepEqual(original.body, late.bytes)
  assert.equal((await ask(`${node.url}/images/${fresh.id}`)).status, 200)
}
