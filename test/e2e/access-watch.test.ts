import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { z } from 'zod'
import { createS3Store } from '../../src/adapters/s3/s3-store.ts'
import { freePort } from '../../tools/processes/free-port.ts'
import { ask, post } from '../../tools/requests/ask.ts'
import { keysOf, newBucket } from '../../tools/s3/s3-bucket.ts'
import { createTestClient, READER_CREDENTIALS } from '../../tools/s3/s3-server.ts'
import { s3ForTests } from '../../tools/s3/start-s3-server.ts'
import { type Darkroom, fixture } from '../../tools/servers/darkroom.ts'
import { newStore, startNodeFor, TOKEN } from '../../tools/servers/site.ts'
import { writeBucketsFile } from '../support/buckets-file.ts'

const Ready = z.object({ status: z.string(), reasons: z.array(z.string()) })
const READER = {
  AWS_ACCESS_KEY_ID: READER_CREDENTIALS.accessKeyId,
  AWS_SECRET_ACCESS_KEY: READER_CREDENTIALS.secretAccessKey,
}
const READ_ONLY = 'Uploads to the object store fail, because its user has no write permission: '

test('A node that takes uploads, with a user who may only read, says so in /readyz and once in the log', async (t) => {
  const { env, settings } = await newStore()
  const node = await startNodeFor(t, { env: { ...env, ...READER, UPLOAD_TOKENS: TOKEN } })
  const reasons = await degradedReasons(node, 1)
  assert.ok(reasons[0]?.startsWith(READ_ONLY))
  assert.equal((await post(node.url, await fixture('fig-alpha.png'), TOKEN)).status, 503)
  assert.equal(await warnings(node, READ_ONLY), 1)
  const store = createS3Store(settings)
  t.after(() => store.close())
  assert.deepEqual(await keysOf(store, '', new AbortController().signal), [])
})

test('A user who may write is none, and nothing is left of the question', async (t) => {
  const { env, settings } = await newStore()
  const node = await startNodeFor(t, { env: { ...env, UPLOAD_TOKENS: TOKEN } })
  // It is asked at the start, after which the first upload comes.
  assert.equal((await post(node.url, await fixture('fig-alpha.png'), TOKEN)).status, 201)
  assert.equal((await ask(`${node.url}/readyz`)).body.toString(), '{"status":"ready","reasons":[]}')
  const store = createS3Store(settings)
  t.after(() => store.close())
  assert.deepEqual(await keysOf(store, 'originals/write', new AbortController().signal), [])
})

test('A bucket with wrong credentials is told in /readyz and once in the log, and the node serves the others', async (t) => {
  const access = await s3ForTests()
  const { bucket, endpoint } = await newBucket()
  const client = createTestClient(access)
  t.after(() => client.destroy())
  await client.send(new PutObjectCommand({ Bucket: bucket, Key: 'a.jpg', Body: await fixture('mountains.jpg') }))
  const entry = (secret: string) => ({ bucket, endpoint, accessKeyId: '$GOOD_KEY', secretAccessKey: secret })
  const buckets = {
    good: entry('$GOOD_SECRET'),
    bad: entry('$BAD_SECRET'),
    none: { ...entry('$GOOD_SECRET'), bucket: 'no-such-bucket-here' },
    down: { ...entry('$GOOD_SECRET'), endpoint: `http://127.0.0.1:${await freePort()}` },
  }
  const file = await writeBucketsFile(t, buckets)
  const env = {
    BUCKETS_FILE: file,
    GOOD_KEY: access.accessKeyId,
    GOOD_SECRET: access.secretAccessKey,
    BAD_SECRET: 'this-secret-is-wrong',
  }
  const node = await startNodeFor(t, { env })
  const reasons = await degradedReasons(node, 3)
  assert.deepEqual(reasons.toSorted(), [
    'Bucket "bad" in BUCKETS_FILE: The object store rejects the credentials: check its credentials in BUCKETS_FILE, and that they allow ListBucket and GetObject',
    'Bucket "down" in BUCKETS_FILE: The object store is unreachable',
    'Bucket "none" in BUCKETS_FILE: The bucket does not exist in the object store: create it, or correct its bucket in BUCKETS_FILE',
  ])
  assert.equal((await ask(`${node.url}/s3/good/a.jpg/-/40w`)).status, 200)
  assert.equal((await ask(`${node.url}/s3/bad/a.jpg/-/40w`)).status, 503)
  assert.equal(await warnings(node, 'Bucket "bad"'), 1)
  const log = JSON.stringify(await node.log())
  assert.ok(!log.includes(env.BAD_SECRET) && !log.includes(env.GOOD_SECRET) && !log.includes(env.GOOD_KEY))
})

/** What `/readyz` says beside 200, as soon as there are so many reasons: they are found out after the start. */
async function degradedReasons({ url }: Darkroom, count: number): Promise<readonly string[]> {
  for (;;) {
    const { status, body } = await ask(`${url}/readyz`)
    assert.equal(status, 200)
    const ready = Ready.parse(JSON.parse(body.toString()))
    if (ready.reasons.length >= count) {
      assert.equal(ready.status, 'degraded')
      return ready.reasons
    }
    await delay(50)
  }
}

/** Lines of the log that begin so, when later ones are there. */
async function warnings(node: Darkroom, beginning: string): Promise<number> {
  const path = `/later-${performance.now()}`
  await ask(`${node.url}${path}`)
  for (;;) {
    const lines = await node.log()
    if (lines.some((line) => line['path'] === path)) {
      return lines.filter(({ msg }) => String(msg).startsWith(beginning)).length
    }
    await delay(50)
  }
}
