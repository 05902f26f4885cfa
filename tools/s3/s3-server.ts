import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'

export const S3_KINDS = ['seaweedfs', 'minio', 'ceph'] as const
export type S3Kind = (typeof S3_KINDS)[number]

/** How to reach an S3 server, path style, as a user who may do everything. */
export interface S3Access {
  readonly kind: S3Kind
  readonly endpoint: string
  readonly region: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** A server of our own, and how to end it. */
export interface S3Server extends S3Access {
  stop(): Promise<void>
}

/** The same on every server; they live for one run, on loopback. */
export const CREDENTIALS = { accessKeyId: 'darkroomtest', secretAccessKey: 'darkroomtest-secret' } as const
/** A second user, who may do nothing until a bucket's policy says otherwise. SeaweedFS and Ceph have it. */
export const SECOND_CREDENTIALS = { accessKeyId: 'darkroomother', secretAccessKey: 'darkroomother-secret' } as const
/** A third one, who may read everything and write nothing. SeaweedFS has it. */
export const READER_CREDENTIALS = { accessKeyId: 'darkroomreader', secretAccessKey: 'darkroomreader-secret' } as const
export const REGION = 'us-east-1'

/** The client's settings that suit all of them. The caller destroys the client. */
export function createTestClient({ endpoint, region, accessKeyId, secretAccessKey }: S3Access): S3Client {
  return new S3Client({
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    forcePathStyle: true,
    maxAttempts: 1,
    // Older Ceph gateways reject the trailing checksums that are the default.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: 1000, requestTimeout: 20_000, throwOnRequestTimeout: true },
  })
}

/**
 * Whether the server really stores: its port answers long before that. Leaves nothing behind.
 *
 * @throws The SDK's error while it doesn't.
 */
export async function storesObjects(access: S3Access): Promise<boolean> {
  const client = createTestClient(access)
  const Bucket = `ready-${process.pid}-${Date.now()}`
  try {
    await client.send(new CreateBucketCommand({ Bucket }))
    await client.send(new PutObjectCommand({ Bucket, Key: 'probe', Body: 'ready' }))
    const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: 'probe' }))
    const text = await Body?.transformToString()
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'probe' }))
    await client.send(new DeleteBucketCommand({ Bucket }))
    return text === 'ready'
  } finally {
    client.destroy()
  }
}
