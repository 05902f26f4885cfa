import assert from 'node:assert/strict'
import { createServer, request } from 'node:http'
import { type TestContext, test } from 'node:test'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { close, listen } from '../../src/http/connection/server.ts'
import { createTestClient, type S3Access } from '../../tools/s3/s3-server.ts'
import { s3ForTests } from '../../tools/s3/start-s3-server.ts'
import { bucketStory } from '../support/bucket-story.ts'
import { startEventSink } from '../support/event-sink.ts'
import { tellingBucket } from '../support/telling-bucket.ts'

const TOKEN = '0123456789abcdef'

test('Ceph tells of all that comes and goes, with the token as a password', async (t) => {
  const access = await ceph()
  const sink = await startEventSink(t, [TOKEN])
  const client = createTestClient(access)
  t.after(() => client.destroy())
  const throughTls = { ...access, endpoint: await startTlsEnd(t, access.endpoint) }
  const bucket = await tellingBucket(throughTls, `${sink.url.replace('//', `//darkroom:${TOKEN}@`)}/events/s3`)

  for (const { name, act } of bucketStory(client, bucket, access)) {
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
})

test('Ceph tells with the token in the query, too', async (t) => {
  const access = await ceph()
  const sink = await startEventSink(t, [TOKEN])
  const client = createTestClient(access)
  t.after(() => client.destroy())
  const bucket = await tellingBucket(access, `${sink.url}/events/s3?access_token=${TOKEN}`)
  const { ETag } = await client.send(new PutObjectCommand({ Bucket: bucket, Key: 'a b', Body: 'bytes' }))
  assert.deepEqual(await sink.take(1), [{ bucket, key: 'a b', kind: 'created', etag: ETag }])
})

test('over plain HTTP Ceph takes no password', async (t) => {
  const access = await ceph()
  const sink = await startEventSink(t, [TOKEN])
  await assert.rejects(
    tellingBucket(access, `${sink.url.replace('//', `//darkroom:${TOKEN}@`)}/events/s3`),
    /CreateTopic/,
  )
})

async function ceph(): Promise<S3Access> {
  const access = await s3ForTests()
  assert.equal(access.kind, 'ceph', 'these tests are run by: npm run test:ceph')
  return access
}

/** Says to the gateway what a proxy says that has ended TLS. @returns where it listens. */
async function startTlsEnd(t: TestContext, target: string): Promise<string> {
  const { hostname, port } = new URL(target)
  const server = createServer((incoming, answer) => {
    const { method, url, rawHeaders } = incoming
    const headers = [...rawHeaders, 'X-Forwarded-Proto', 'https']
    const outgoing = request({ host: hostname, port, method, path: url, headers, agent: false }, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.rawHeaders)
      response.pipe(answer)
    })
    incoming.pipe(outgoing)
  })
  t.after(() => close(server))
  return listen(server, 0, '127.0.0.1')
}
