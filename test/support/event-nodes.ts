import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { S3Access } from '../../tools/s3/s3-server.ts'
import type { Darkroom } from '../../tools/servers/darkroom.ts'
import { newStore, startNodeFor, temporaryFolder } from '../../tools/servers/site.ts'

export const EVENT_TOKEN = '0123456789abcdef'

export interface EventNodesOptions {
  /** Served as "photos", for an hour without a question. */
  readonly bucket: string
  /** Of the first node: the one that the bucket tells. The others hear of it from the store. */
  readonly port: number
  /** Made ahead by the first node. */
  readonly primeSizes: readonly string[]
}

/** Three nodes of one store, which is a bucket of the same server, until the test ends. */
export async function startEventNodes(
  t: TestContext,
  access: S3Access,
  { bucket, port, primeSizes }: EventNodesOptions,
): Promise<readonly [told: Darkroom, second: Darkroom, third: Darkroom]> {
  const file = join(await temporaryFolder(t), 'buckets.json')
  const photos = {
    bucket,
    endpoint: access.endpoint,
    accessKeyId: '$PHOTOS_KEY',
    secretAccessKey: '$PHOTOS_SECRET',
    freshSeconds: 3600,
    primeSizes,
  }
  await writeFile(file, JSON.stringify({ buckets: { photos } }))
  const store = await newStore(access)
  const env = {
    ...store.env,
    BUCKETS_FILE: file,
    PHOTOS_KEY: access.accessKeyId,
    PHOTOS_SECRET: access.secretAccessKey,
    EVENT_TOKENS: EVENT_TOKEN,
    // One that takes long is what we want to see.
    RENDER_TIMEOUT_SECONDS: '60',
    REQUEST_TIMEOUT_SECONDS: '90',
  }
  return [await startNodeFor(t, { port, env }), await startNodeFor(t, { env }), await startNodeFor(t, { env })]
}
