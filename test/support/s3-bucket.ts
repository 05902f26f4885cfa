import { randomUUID } from 'node:crypto'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import type { S3StoreSettings } from '../../src/adapters/s3-store.ts'
import { s3ForTests } from './s3-server.ts'

/** Settings of a store in a new, empty bucket of the real S3 server that the tests run against. */
export async function newBucket(): Promise<S3StoreSettings & { readonly endpoint: string }> {
  const { endpoint, region, accessKeyId, secretAccessKey } = await s3ForTests()
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
