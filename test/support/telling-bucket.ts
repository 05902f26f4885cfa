import { randomUUID } from 'node:crypto'
import {
  CreateBucketCommand,
  type NotificationConfiguration,
  PutBucketNotificationConfigurationCommand,
} from '@aws-sdk/client-s3'
import { z } from 'zod'
import { createTestClient, type S3Access } from '../../tools/s3/s3-server.ts'
import { awsCli } from './aws-cli.ts'

/** A new bucket of Ceph that sends its events to this URL, which every put waits for. */
export async function tellingBucket(access: S3Access, url: string): Promise<string> {
  const bucket = `test-${randomUUID()}`
  const attributes = JSON.stringify({ 'push-endpoint': url })
  const answer = await awsCli(access, ['sns', 'create-topic', '--name', bucket, '--attributes', attributes])
  const { TopicArn } = z.object({ TopicArn: z.string() }).parse(JSON.parse(answer))
  const client = createTestClient(access)
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket }))
    const NotificationConfiguration: NotificationConfiguration = {
      TopicConfigurations: [{ Id: 'darkroom', TopicArn, Events: ['s3:ObjectCreated:*', 's3:ObjectRemoved:*'] }],
    }
    await client.send(new PutBucketNotificationConfigurationCommand({ Bucket: bucket, NotificationConfiguration }))
  } finally {
    client.destroy()
  }
  return bucket
}
