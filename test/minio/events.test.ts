import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  CreateBucketCommand,
  type NotificationConfiguration,
  PutBucketNotificationConfigurationCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { startMinio } from '../../tools/s3/minio.ts'
import { createTestClient } from '../../tools/s3/s3-server.ts'
import { bucketStory } from '../support/bucket-story.ts'
import { startEventSink } from '../support/event-sink.ts'

const TOKEN = '0123456789abcdef'

test('MinIO tells of all that comes and goes, and again what was not taken', async (t) => {
  const sink = await startEventSink(t, [TOKEN])
  const queue = await mkdtemp(join(tmpdir(), 'darkroom-queue-'))
  t.after(() => rm(queue, { recursive: true, force: true }))
  const minio = await startMinio({
    MINIO_NOTIFY_WEBHOOK_ENABLE_DARKROOM: 'on',
    MINIO_NOTIFY_WEBHOOK_ENDPOINT_DARKROOM: `${sink.url}/events/s3`,
    MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_DARKROOM: TOKEN,
    MINIO_NOTIFY_WEBHOOK_ENABLE_LASTING: 'on',
    MINIO_NOTIFY_WEBHOOK_ENDPOINT_LASTING: `${sink.url}/events/s3`,
    MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_LASTING: TOKEN,
    MINIO_NOTIFY_WEBHOOK_QUEUE_DIR_LASTING: queue,
  })
  const client = createTestClient(minio)
  t.after(async () => {
    client.destroy()
    await minio.stop()
  })
  const tellingBucket = async (Bucket: string, target: string): Promise<string> => {
    await client.send(new CreateBucketCommand({ Bucket }))
    const NotificationConfiguration: NotificationConfiguration = {
      QueueConfigurations: [
        { QueueArn: `arn:minio:sqs::${target}:webhook`, Events: ['s3:ObjectCreated:*', 's3:ObjectRemoved:*'] },
      ],
    }
    await client.send(new PutBucketNotificationConfigurationCommand({ Bucket, NotificationConfiguration }))
    return Bucket
  }

  const bucket = await tellingBucket('story', 'DARKROOM')
  for (const { name, act } of bucketStory(client, bucket, minio)) {
    await t.test(name, async () => {
      const expected = await act()
      const events = await sink.take(expected.length)
      for (const each of expected) {
        const event = events.find(({ key, kind }) => key === each.key && kind === each.kind)
        assert.partialDeepStrictEqual(event, { bucket, ...each })
      }
    })
  }

  assert.ok(sink.statuses.every((status) => status === 204))

  await t.test('a put while we are in trouble', async () => {
    const lasting = await tellingBucket('lasting', 'LASTING')
    sink.failNext(1)
    const { ETag } = await client.send(new PutObjectCommand({ Bucket: lasting, Key: 'late', Body: 'late' }))
    const [event] = await sink.take(1)
    assert.deepEqual(event, { bucket: lasting, key: 'late', kind: 'created', etag: ETag })
    assert.deepEqual(sink.statuses.slice(-2), [503, 204])
  })
})
