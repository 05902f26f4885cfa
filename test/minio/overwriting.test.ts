import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import {
  CreateBucketCommand,
  type NotificationConfiguration,
  PutBucketNotificationConfigurationCommand,
} from '@aws-sdk/client-s3'
import { freePort } from '../../tools/processes/free-port.ts'
import { startMinio } from '../../tools/s3/minio.ts'
import { createTestClient } from '../../tools/s3/s3-server.ts'
import { EVENT_TOKEN, startEventNodes } from '../support/event-nodes.ts'
import { createMinioClient } from '../support/minio-client.ts'
import { assertOverwritingIsSeen, assertSizesAreMadeAhead, type Filler, PRIMED_SIZE } from '../support/overwriting.ts'

test('What `mc` copies into a bucket of MinIO, three nodes show in two seconds', async (t) => {
  const port = await freePort()
  // The node is started after the server that it is told by, as it may happen in production.
  const minio = await startMinio({
    MINIO_NOTIFY_WEBHOOK_ENABLE_DARKROOM: 'on',
    MINIO_NOTIFY_WEBHOOK_ENDPOINT_DARKROOM: `http://127.0.0.1:${port}/events/s3`,
    MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_DARKROOM: EVENT_TOKEN,
  })
  const client = createTestClient(minio)
  t.after(async () => {
    client.destroy()
    await minio.stop()
  })
  const bucket = `photos-${randomUUID()}`
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  const nodes = await startEventNodes(t, minio, { bucket, port, primeSizes: [PRIMED_SIZE] })
  const NotificationConfiguration: NotificationConfiguration = {
    QueueConfigurations: [
      { QueueArn: 'arn:minio:sqs::DARKROOM:webhook', Events: ['s3:ObjectCreated:*', 's3:ObjectRemoved:*'] },
    ],
  }
  await client.send(new PutBucketNotificationConfigurationCommand({ Bucket: bucket, NotificationConfiguration }))
  const mc = await createMinioClient(minio)
  const filler: Filler = {
    copy: (file, key) => mc(['cp', file, `minio/${bucket}/${key}`]),
    remove: (key) => mc(['rm', `minio/${bucket}/${key}`]),
  }

  await t.test('an overwriting, and a removal', (part) => assertOverwritingIsSeen(part, nodes, filler))
  await t.test('what is made ahead', () => assertSizesAreMadeAhead(nodes, filler))
})
