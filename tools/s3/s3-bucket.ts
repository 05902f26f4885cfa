import { randomUUID } from 'node:crypto'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import type { S3StoreSettings } from '../../src/adapters/s3/s3-store.ts'
import type { ObjectStore } from '../../src/service/ports/store.ts'
import type { S3Access } from './s3-server.ts'
import { s3ForTests } from './start-s3-server.ts'

/** Settings of a store in a new, empty bucket. @param access By default to the real S3 server that the tests run against. */
export async function newBucket(access?: S3Access): Promise<S3StoreSettings & { readonly endpoint: string }> {
  const { endpoint, region, accessKeyId, secretAccessKey } = access ?? (await s3ForTests())
  const bucket = `test-${randomUUID()}`
  const settings = { endpoint, region, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } } as const
  const client = new S3Client(settings)
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket }))
  } finally {
    client.destroy()
  }
  return { bucket, ...settings }
}

/** Every key of the store that starts with `prefix`, in ascending order. */
export async function keysOf(store: ObjectStore, prefix: string, signal: AbortSignal): Promise<string[]> {
  const keys: string[] = []
  for await (const key of store.list(prefix, '', signal)) keys.push(key)
  return keys
}
