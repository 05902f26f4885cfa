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
  /** Of a picture that the node has not seen. */
  readonly unseenSeed: number
}

/** A node before a store that is seen through a proxy, without a fault as yet. */
interface ProxiedNode {
  readonly caller: Caller
  readonly proxy: FaultProxy
  readonly secrets: readonly string[]
  /** Of the next pictures. */
  seed: number
  stop(): Promise<void>
}

export interface FaultStages {
  /** A stage until the test ends. Its node serves the next test, unless this one has failed. */
  take(t: TestContext): Promise<FaultStage>
  close(): Promise<void>
}

/** Stages of tests that leave a node as they have found it: starting one takes longer than most of these tests. */
export function createFaultStages(): FaultStages {
  const idle: ProxiedNode[] = []
  return {
    async take(t) {
      const held = idle.pop() ?? (await startProxied())
      t.after(async () => {
        await held.proxy.setFault(undefined)
        // The types of Node lack it.
        if ('passed' in t && t.passed === true) idle.push(held)
        else await held.stop()
      })
      return await stageOn(held)
    },
    async close() {
      await Promise.all(idle.map(({ stop }) => stop()))
    },
  }
}

/** A stage with a node of its own. */
export async function setFaultStage(t: TestContext): Promise<FaultStage> {
  const held = await startProxied()
  t.after(held.stop)
  return await stageOn(held)
}

async function startProxied(): Promise<ProxiedNode> {
  const { bucket, endpoint, credentials } = await newBucket()
  const { accessKeyId = '', secretAccessKey = '' } = credentials ?? {}
  const proxy = await startFaultProxy({ target: endpoint })
  const node = await startS3Node({ endpoint: proxy.endpoint, bucket, accessKeyId, secretAccessKey })
  const caller: Caller = { node, url: node.url, ask, post: (bytes) => post(node.url, bytes) }
  const { port } = new URL(proxy.endpoint)
  const stop = async () => {
    await node.stop()
    await proxy.stop()
  }
  return { caller, proxy, secrets: [bucket, accessKeyId, secretAccessKey, port], seed: 1, stop }
}

async function stageOn(held: ProxiedNode): Promise<FaultStage> {
  const { caller, proxy, secrets, seed } = held
  held.seed += 10
  const pictures = await stagePictures(caller, seed)
  await firstSweepIsOver(caller.node.cacheDir)
  return { ...caller, ...pictures, proxy, secrets, unseenSeed: seed + 3 }
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

export async function startS3Node(access: NodeAccess): Promise<Darkroom> {
  return await startDarkroom({
    unready: true,
    env: {
      STORE: `s3://${access.bucket}`,
      S3_ENDPOINT: access.endpoint,
      AWS_ACCESS_KEY_ID: access.accessKeyId,
      AWS_SECRET_ACCESS_KEY: access.secretAccessKey,
    },
  })
}

/** All that failed is right without a restart. */
export async function assertRecovered(t: TestContext, stage: FaultStage): Promise<void> {
  const times = await untilRecovered(stage)
  t.diagnostic(`right again after ${times.map(Math.round).join(', ')} ms: GET, POST, ready`)
  const { bytes } = await noisePicture(stage.unseenSeed)
  assert.equal((await stage.post(bytes)).status, 201)
  assert.equal((await ask(`${stage.url}/images/${stage.fresh.id}`)).status, 200)
}
