import type { S3StoreSettings } from '../../src/adapters/s3/s3-store.ts'
import type { Answer } from '../requests/ask.ts'
import { type Darkroom, type DarkroomOptions, startDarkroom } from '../servers/darkroom.ts'
import { type FaultProxy, startFaultProxy } from '../servers/fault-proxy.ts'
import type { Nginx, NginxOptions } from '../servers/nginx.ts'
import { AUTHORIZATION, newStore, startNginxFor, startNodeFor, TOKEN } from '../servers/site.ts'
import type { RowScope } from './row.ts'
import { type Caller, type Staged, stagePictures, untilRecovered } from './staged-pictures.ts'

/** A node behind nginx, before a store that is seen through a proxy; and pictures in different places. Requests are counted. */
export interface Stage extends Staged {
  readonly nginx: Nginx
  readonly proxy: FaultProxy
  /** To look into the bucket behind the node's back. */
  readonly store: S3StoreSettings
  /** Settings of a node that sees the store through the proxy. */
  readonly env: Readonly<Record<string, string>>
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
  const caller: Caller = {
    node,
    url,
    ask: (...request) => scope.tally.ask(...request),
    post: (bytes) => upload(scope, url, bytes),
  }
  return { ...caller, ...(await stagePictures(caller)), nginx, proxy, store, env }
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

/** What failed is right without a restart, within five seconds. */
export async function assertRecovers(scope: RowScope, stage: Stage): Promise<void> {
  scope.recovered(Math.max(...(await untilRecovered(stage))))
}
