import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import type { Scope } from '../../tools/processes/scope.ts'
import { newBucket } from '../../tools/s3/s3-bucket.ts'
import type { Darkroom } from '../../tools/servers/darkroom.ts'
import { startNodeFor, TOKEN } from '../../tools/servers/site.ts'
import { writeBucketsFile } from './buckets-file.ts'

const URL_KEY = 'a-url-key-for-tests-only'

/** A node that serves signed URLs only, also of an empty bucket of the real S3 server under the alias `photos`. */
export interface SignedNode {
  readonly node: Darkroom
  /** Variables that the examples of frameworks read: of the node, and of the bucket. */
  readonly env: Readonly<Record<string, string>>
  /** Puts an object into the bucket. */
  put(key: string, body: Buffer): Promise<void>
}

/** @param settings Further settings of the node. */
export async function startSignedNode(t: Scope, settings: Readonly<Record<string, string>> = {}): Promise<SignedNode> {
  const { bucket, endpoint, region, credentials } = await newBucket()
  const keys = {
    AWS_ACCESS_KEY_ID: String(credentials?.accessKeyId),
    AWS_SECRET_ACCESS_KEY: String(credentials?.secretAccessKey),
  }
  const file = await writeBucketsFile(t, {
    photos: { bucket, endpoint, accessKeyId: '$PHOTOS_KEY', secretAccessKey: '$PHOTOS_SECRET' },
  })
  const node = await startNodeFor(t, {
    env: {
      BUCKETS_FILE: file,
      PHOTOS_KEY: keys.AWS_ACCESS_KEY_ID,
      PHOTOS_SECRET: keys.AWS_SECRET_ACCESS_KEY,
      SIZE_POLICY: 'signed',
      URL_KEYS: URL_KEY,
      MAX_UPLOAD_BYTES: '1M',
      ...settings,
    },
  })
  const env = {
    DARKROOM_URL: node.url,
    DARKROOM_TOKEN: TOKEN,
    DARKROOM_URL_KEY: URL_KEY,
    S3_ENDPOINT: endpoint,
    S3_BUCKET: bucket,
    AWS_DEFAULT_REGION: region,
    AWS_REGION: region,
    ...keys,
  }
  return {
    node,
    env,
    async put(key, body) {
      const client = new S3Client({ endpoint, region, forcePathStyle: true, ...(credentials && { credentials }) })
      try {
        await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }))
      } finally {
        client.destroy()
      }
    },
  }
}
