import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { S3StoreSettings } from '../../src/adapters/s3/s3-store.ts'
import type { Scope } from '../processes/scope.ts'
import { newBucket } from '../s3/s3-bucket.ts'
import type { S3Access } from '../s3/s3-server.ts'
import { type Darkroom, type DarkroomOptions, startDarkroom } from './darkroom.ts'
import { type Nginx, type NginxOptions, startNginx } from './nginx.ts'

export { AUTHORIZATION, TOKEN } from '../requests/token.ts'

/** A node, and nginx in front of it. */
export interface Site {
  readonly node: Darkroom
  readonly nginx: Nginx
  /** Of the node's nginx. */
  readonly url: string
}

/** A node behind its own nginx, as it runs in production, until the test ends. */
export async function startSite(
  t: Scope,
  env: Readonly<Record<string, string>> = {},
  nginxOptions: Partial<NginxOptions> = {},
): Promise<Site> {
  const node = await startNodeFor(t, { env: { ACCEL_PREFIX: '/_renditions/', ...env } })
  const nginx = await startNginxFor(t, node, nginxOptions)
  return { node, nginx, url: nginx.origin }
}

/** A node until the test ends. */
export async function startNodeFor(t: Scope, options: DarkroomOptions = {}): Promise<Darkroom> {
  const node = await startDarkroom(options)
  stopAfter(t, node.stop)
  return node
}

/** nginx in front of a node until the test ends. */
export async function startNginxFor(
  t: Scope,
  { port, cacheDir }: Pick<Darkroom, 'port' | 'cacheDir'>,
  options: Partial<NginxOptions> = {},
): Promise<Nginx> {
  const nginx = await startNginx({ nodePort: port, cacheDir, ...options })
  stopAfter(t, nginx.stop)
  return nginx
}

const running = new WeakMap<Scope, (() => Promise<void>)[]>()

/** Ends a server with its test, before the test's temporary folders are removed. */
export function stopAfter(t: Scope, stop: () => Promise<void>): void {
  running.set(t, [...(running.get(t) ?? []), stop])
  t.after(stop)
}

/** A folder that outlives the nodes of a test, but not the test. */
export async function temporaryFolder(t: Scope): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-e2e-'))
  t.after(async () => {
    // What was opened first is closed first, but a node that still runs would write into the folder again.
    for (const stop of running.get(t) ?? []) await stop()
    await rm(folder, { recursive: true, force: true })
  })
  return folder
}

/** A new bucket, and the settings of a node that uses it. @param access By default to the real S3 server of the tests. */
export async function newStore(access?: S3Access): Promise<{
  readonly endpoint: string
  /** To look into the bucket behind the nodes' backs. */
  readonly settings: S3StoreSettings
  readonly env: Readonly<Record<string, string>>
}> {
  const settings = await newBucket(access)
  return { endpoint: settings.endpoint, settings, env: storeEnv(settings) }
}

function storeEnv({ bucket, endpoint = '', region, credentials }: S3StoreSettings): Readonly<Record<string, string>> {
  return {
    STORE: `s3://${bucket}`,
    S3_ENDPOINT: endpoint,
    S3_REGION: region,
    AWS_ACCESS_KEY_ID: String(credentials?.accessKeyId),
    AWS_SECRET_ACCESS_KEY: String(credentials?.secretAccessKey),
  }
}
