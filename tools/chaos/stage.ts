import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { S3StoreSettings } from '../../src/adapters/s3/s3-store.ts'
import { assertPicture, noisePicture, type Picture } from '../pictures/picture.ts'
import { type Answer, ask, recoversIn } from '../requests/ask.ts'
import { type Darkroom, type DarkroomOptions, startDarkroom } from '../servers/darkroom.ts'
import { type FaultProxy, startFaultProxy } from '../servers/fault-proxy.ts'
import type { Nginx, NginxOptions } from '../servers/nginx.ts'
import { AUTHORIZATION, newStore, startNginxFor, startNodeFor, TOKEN } from '../servers/site.ts'
import type { RowScope } from './row.ts'

/** A node behind nginx, before a store that is seen through a proxy; and pictures in different places. */
export interface Stage {
  readonly node: Darkroom
  readonly nginx: Nginx
  /** Of nginx. */
  readonly url: string
  readonly proxy: FaultProxy
  /** To look into the bucket behind the node's back. */
  readonly store: S3StoreSettings
  /** Settings of a node that sees the store through the proxy. */
  readonly env: Readonly<Record<string, string>>
  /** In the cache, as `knownUrl` gives it. */
  readonly known: Picture
  readonly knownUrl: string
  /** In the store alone. */
  readonly fresh: Picture
  readonly freshUrl: string
  /** Not uploaded yet. */
  readonly late: Picture
  /** Uploads, counted. */
  post(bytes: Buffer): Promise<Answer>
}

export interface StageOptions extends DarkroomOptions {
  /** By default every request goes through the node: nginx looks for no files by itself. */
  readonly nginx?: Partial<NginxOptions>
}

/** Behind nginx, with a token for uploads. */
export const BEHIND_NGINX = { ACCEL_PREFIX: '/_renditions/', UPLOAD_TOKENS: TOKEN } as const

export async function setStage(scope: RowScope, options: StageOptions = {}): Promise<Stage> {
  const { settings: store, env: storeEnv, endpoint } = await newStore()
  const proxy = await startFaultProxy({ target: endpoint })
  const env = { ...BEHIND_NGINX, ...storeEnv, S3_ENDPOINT: proxy.endpoint, ...options.env }
  const starting = startNodeFor(scope, { ...options, env }).then(async (node) => {
    return { node, nginx: await startNginxFor(scope, node, { directHits: false, ...options.nginx }) }
  })
  // After the node, which would otherwise wait for it; and when none of them has started.
  const { node, nginx } = await starting.finally(() => scope.after(() => proxy.stop()))
  const url = nginx.origin
  const [known, fresh, late] = await Promise.all([noisePicture(1), noisePicture(2, 400, 300), noisePicture(3)])
  const post = (bytes: Buffer) => upload(scope, url, bytes)
  for (const { bytes } of [known, fresh]) assert.equal((await post(bytes)).status, 201)
  const knownUrl = `${url}/image/${known.id}/40w/x.jpg`
  assert.equal((await scope.tally.ask(knownUrl)).status, 200)
  // Else a look-up would find them where they came in.
  await rm(join(node.cacheDir, 'originals'), { recursive: true })
  return {
    node,
    nginx,
    url,
    proxy,
    store,
    env,
    known,
    knownUrl,
    fresh,
    freshUrl: `${url}/image/${fresh.id}/40w/x.jpg`,
    late,
    post,
  }
}

/** An upload, counted. */
export function upload({ tally }: RowScope, url: string, bytes: Buffer): Promise<Answer> {
  const headers = { 'Content-Type': 'image/png', ...AUTHORIZATION }
  return tally.ask(`${url}/images`, { method: 'POST', headers, body: new Uint8Array(bytes) })
}

/** Starts another node with these settings, whose answers nobody counts; for one that comes after another, or beside it. */
export async function startNode(scope: RowScope, options: DarkroomOptions): Promise<Darkroom> {
  const node = await startDarkroom(options)
  scope.after(() => node.stop())
  return node
}

/** Asks a dozen times for the picture that is cached. @returns ms of the median answer. */
export async function cachedAnswers({ tally }: RowScope, { knownUrl }: Stage): Promise<number> {
  const times: number[] = []
  for (let count = 0; count < 12; count += 1) {
    const { status, body, ms } = await tally.ask(knownUrl)
    assert.equal(status, 200)
    await assertPicture(body, { format: 'jpeg', width: 40 })
    times.push(ms)
  }
  return times.toSorted((a, b) => a - b)[6] ?? 0
}

/** What failed is right without a restart, within five seconds. */
export async function assertRecovers(scope: RowScope, stage: Stage): Promise<void> {
  const right = ({ status }: Answer): boolean => status === 200 || status === 201
  const times = await Promise.all([
    recoversIn(() => scope.tally.ask(stage.freshUrl), right),
    recoversIn(() => stage.post(stage.late.bytes), right),
    recoversIn(() => ask(`${stage.node.url}/readyz`), right),
  ])
  scope.recovered(Math.max(...times))
  await assertPicture((await scope.tally.ask(stage.freshUrl)).body, { format: 'jpeg', width: 40 })
  const original = await scope.tally.ask(`${stage.url}/images/${stage.late.id}/original`, { headers: AUTHORIZATION })
  assert.deepEqual(original.body, stage.late.bytes)
}
