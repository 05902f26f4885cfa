import assert from 'node:assert/strict'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import {
  DeleteObjectCommand,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { z } from 'zod'
import { createS3Bucket, type S3BucketSettings } from '../../src/adapters/s3/s3-reader.ts'
import { UnavailableError } from '../../src/errors.ts'
import type { Bucket, ObjectAddress, ObjectVersion } from '../../src/service/ports/bucket.ts'
import { newBucket } from '../../tools/s3/s3-bucket.ts'
import { createTestClient, type S3Kind } from '../../tools/s3/s3-server.ts'
import { s3ForTests } from '../../tools/s3/start-s3-server.ts'
import { startFaultProxy } from '../../tools/servers/fault-proxy.ts'

const READ_POLICY = join(import.meta.dirname, '../../packaging/s3-read-policy.json')
const Policy = z.looseObject({ Statement: z.array(z.looseObject({})) })

const never = new AbortController().signal

const REFUSED =
  'The object store rejects the credentials: check its credentials in BUCKETS_FILE, and that they allow ListBucket and GetObject'

test('an object is looked at and opened', async (t) => {
  const { bucket, put } = await filledBucket(t)
  const { ETag } = await put('photos/cat.jpg', 'a cat')
  const version = await look(bucket, { key: 'photos/cat.jpg' })
  assert.equal(version.etag, ETag)
  assert.equal(version.sizeBytes, 5)
  assert.equal(version.md5, createHash('md5').update('a cat').digest('hex'))
  assert.ok(Math.abs(Date.now() - version.modifiedAt.getTime()) < 60_000)
  const opened = await bucket.open({ key: 'photos/cat.jpg' }, version.etag, never)
  assert.equal(opened?.sizeBytes, 5)
  assert.equal(await text(opened.body), 'a cat')
})

test('an object is read with its version, by one request', async (t) => {
  const { bucket, put, requests } = await filledBucket(t)
  await put('cat', 'a cat')
  const version = await look(bucket, { key: 'cat' })
  requests.length = 0
  const found = await bucket.read({ key: 'cat' }, never)
  assert.ok(found)
  assert.deepEqual(found.version, version)
  assert.equal(await text(found.object.body), 'a cat')
  assert.deepEqual(
    requests.map((request) => request.split(' ')[0]),
    ['GET'],
  )
  assert.equal(await bucket.read({ key: 'dog' }, never), undefined)
})

test('a version that is known is told to be unchanged, by one request without a body', async (t) => {
  const { bucket, put, requests } = await filledBucket(t)
  await put('cat', 'a cat')
  const { etag } = await look(bucket, { key: 'cat' })
  requests.length = 0
  assert.equal(await bucket.look({ key: 'cat' }, etag, never), 'unchanged')
  assert.deepEqual(
    requests.map((request) => request.split(' ')[0]),
    ['HEAD'],
  )
})

test('an object that was overwritten is another version, and its old one is no longer opened', async (t) => {
  const { bucket, put } = await filledBucket(t)
  await put('cat', 'a cat')
  const { etag: old } = await look(bucket, { key: 'cat' })
  await put('cat', 'another cat')
  const present = await bucket.look({ key: 'cat' }, old, never)
  assert.ok(typeof present === 'object')
  assert.notEqual(present.etag, old)
  assert.equal(present.sizeBytes, 11)
  assert.equal(await bucket.open({ key: 'cat' }, old, never), undefined)
  assert.equal(await read(bucket, { key: 'cat' }, present.etag), 'another cat')
})

test('an absent key and one that was removed are absent, known or not', async (t) => {
  const { bucket, put, remove } = await filledBucket(t)
  await put('cat', 'a cat')
  const { etag } = await look(bucket, { key: 'cat' })
  await remove('cat')
  for (const key of ['cat', 'never', 'cat/never']) {
    assert.equal(await bucket.look({ key }, undefined, never), undefined)
    assert.equal(await bucket.look({ key }, etag, never), undefined)
    assert.equal(await bucket.open({ key }, etag, never), undefined)
  }
})

test('a version that is named stays, whatever becomes of the key', async (t) => {
  const { bucket, put, remove } = await filledBucket(t, { versioned: true })
  const first = { key: 'cat', versionId: versionOf(await put('cat', 'first')) }
  const second = { key: 'cat', versionId: versionOf(await put('cat', 'second')) }
  const { etag } = await look(bucket, first)
  assert.equal(await read(bucket, first, etag), 'first')
  assert.equal(await bucket.look(first, etag, never), 'unchanged')
  assert.notEqual((await look(bucket, second)).etag, etag)
  assert.deepEqual(await look(bucket, { key: 'cat' }), await look(bucket, second))

  const marker = { key: 'cat', versionId: versionOf(await remove('cat')) }
  for (const gone of [{ key: 'cat' }, marker]) {
    assert.equal(await bucket.look(gone, undefined, never), undefined)
    assert.equal(await bucket.look(gone, etag, never), undefined)
    assert.equal(await bucket.open(gone, etag, never), undefined)
  }
  assert.equal(await read(bucket, first, etag), 'first')

  await remove('cat', first.versionId)
  for (const versionId of [first.versionId, 'nonsense', '../x y+z']) {
    assert.equal(await bucket.look({ key: 'cat', versionId }, undefined, never), undefined, versionId)
    assert.equal(await bucket.open({ key: 'cat', versionId }, etag, never), undefined, versionId)
  }
})

test('in a bucket without versions a version that is named is absent, unless it is the only one', async (t) => {
  const { bucket, put } = await filledBucket(t)
  await put('cat', 'a cat')
  const { etag } = await look(bucket, { key: 'cat', versionId: 'null' })
  assert.equal(await read(bucket, { key: 'cat', versionId: 'null' }, etag), 'a cat')
  const other = { key: 'cat', versionId: 'nonsense' }
  assert.equal(await bucket.look(other, undefined, never), undefined)
  assert.equal(await bucket.open(other, etag, never), undefined)
})

const LONG_SEGMENTS = `${'0123456789'.repeat(10)}/`.repeat(10) + 'e'.repeat(14)
const ONE_LONG_SEGMENT = 'n'.repeat(1024)
const DOTS = ['.', '..', 'dot/../b', 'dot/./b', '../dot', './dot', 'dot/..', 'back\\..\\b']

const KEYS = [
  'with space',
  ' leading and trailing ',
  'plus+plus',
  'percent%2Fslash',
  'percent%25percent',
  'lone%',
  '%2e%2e/encoded dots',
  'composed é'.normalize('NFC'),
  'decomposed é'.normalize('NFD'),
  '猫/кот/😀.jpg',
  '.hidden',
  'folder/.hidden',
  'folder/...',
  'double//slash',
  '/leading slash',
  'trailing slash/',
  'question?x=1&y=2#z',
  `quotes'"\``,
  'back\\slash',
  'semi;colon:at@equals=comma,dollar$',
  "marks*()!~_-'<>{}|^[]",
  'right\u202eto left',
  LONG_SEGMENTS,
  ONE_LONG_SEGMENT,
  ...DOTS,
] as const

/** What a server never has. Ceph has them all. */
const UNNAMABLE = {
  ceph: [],
  minio: ['double//slash', ONE_LONG_SEGMENT, ...DOTS],
  seaweedfs: [ONE_LONG_SEGMENT, ...DOTS],
} as const satisfies Record<S3Kind, readonly string[]>

test('the long keys have 1,024 bytes', () => {
  assert.equal(Buffer.byteLength(LONG_SEGMENTS), 1024)
  assert.equal(Buffer.byteLength(ONE_LONG_SEGMENT), 1024)
})

test('every legal key is that key and no other, and one that the server cannot have is absent', async (t) => {
  const { kind } = await s3ForTests()
  const unnamable = new Set<string>(UNNAMABLE[kind])
  const { bucket, put } = await filledBucket(t)
  // What a tidied path would lead to.
  for (const decoy of ['b', 'dot', 'dotted/b', 'back/b', 'double/slash']) await put(decoy, 'decoy')
  const { etag: decoyTag } = await look(bucket, { key: 'b' })
  // To SeaweedFS a key with a slash at its end is a folder, which has no bytes.
  const bodyOf = (key: string): string => (kind === 'seaweedfs' && key.endsWith('/') ? '' : `of ${key}`)
  for (const key of KEYS) {
    if (unnamable.has(key)) await assert.rejects(put(key, bodyOf(key)), { $fault: 'client' }, key)
    else await put(key, bodyOf(key))
  }
  for (const key of KEYS) {
    await t.test(JSON.stringify(key).slice(0, 40), async () => {
      const version = await bucket.look({ key }, undefined, never)
      if (unnamable.has(key)) {
        assert.equal(version, undefined)
        assert.equal(await bucket.look({ key }, decoyTag, never), undefined)
        assert.equal(await bucket.open({ key }, decoyTag, never), undefined)
        return
      }
      assert.ok(typeof version === 'object')
      assert.equal(await read(bucket, { key }, version.etag), bodyOf(key))
      assert.equal(await bucket.look({ key }, version.etag, never), 'unchanged')
    })
  }
  assert.equal(await read(bucket, { key: 'b' }, decoyTag), 'decoy')
})

test('keys outside the prefix are absent without a question', async (t) => {
  const { bucket, put, requests } = await filledBucket(t, { keyPrefix: 'public/' })
  await put('public/cat', 'a cat')
  await put('private/cat', 'a secret cat')
  const { etag } = await look(bucket, { key: 'public/cat' })
  assert.equal(await read(bucket, { key: 'public/cat' }, etag), 'a cat')
  await bucket.check(never)
  requests.length = 0
  for (const key of ['private/cat', 'publi', 'Public/cat', '/public/cat', '../public/cat']) {
    assert.equal(await bucket.look({ key }, undefined, never), undefined)
    assert.equal(await bucket.open({ key }, etag, never), undefined)
  }
  assert.deepEqual(requests, [])
})

test('a bucket that is open to all is read without credentials, and a closed one is not', async (t) => {
  const { bucket, put, requests, publish } = await filledBucket(t, { credentials: 'anonymous' })
  const { ETag: etag = '' } = await put('cat é+', 'a cat')
  const refused = outage(REFUSED)
  await assert.rejects(bucket.look({ key: 'cat é+' }, undefined, never), refused)
  await assert.rejects(bucket.open({ key: 'cat é+' }, etag, never), refused)
  await assert.rejects(bucket.check(never), refused)
  await publish()
  assert.equal((await look(bucket, { key: 'cat é+' })).etag, etag)
  assert.equal(await read(bucket, { key: 'cat é+' }, etag), 'a cat')
  assert.equal(await bucket.look({ key: 'never' }, undefined, never), undefined)
  await bucket.check(never)
  requests.length = 0
  for (const key of DOTS) assert.equal(await bucket.look({ key }, undefined, never), undefined)
  assert.deepEqual(requests, [], 'nobody would notice if a proxy tidied such a path')
})

test('the rights of packaging/s3-read-policy.json are enough, versions included', async (t) => {
  const { bucket, put, remove, publish } = await filledBucket(t, { credentials: 'anonymous', versioned: true })
  const { ETag: etag = '', VersionId: versionId } = await put('cat', 'a cat')
  await remove('cat')
  await publish()
  await bucket.check(never)
  assert.equal(await bucket.look({ key: 'cat' }, undefined, never), undefined)
  assert.equal(await read(bucket, { key: 'cat', versionId }, etag), 'a cat')
  assert.equal(await bucket.look({ key: 'cat', versionId }, etag, never), 'unchanged')
})

for (const wrong of ['accessKeyId', 'secretAccessKey'] as const) {
  test(`a wrong ${wrong} is an outage and never an absent key, and no message tells it`, async (t) => {
    const { credentials, ...settings } = await newBucket()
    assert.ok(credentials)
    const bucket = createS3Bucket({ ...settings, credentials: { ...credentials, [wrong]: 'WRONGWRONGWRONG12345' } })
    t.after(() => bucket.close())
    for (const call of Object.values(callsOf(bucket))) {
      await assert.rejects(call, (error) => {
        assert.ok(outage(REFUSED)(error))
        const cause = String(error instanceof Error && error.cause)
        return !cause.includes('WRONG') && !cause.includes(credentials.accessKeyId)
      })
    }
  })
}

test('a missing bucket is an outage and never an absent key', async (t) => {
  const settings = { ...(await newBucket()), bucket: `test-missing-${randomUUID()}` }
  const bucket = createS3Bucket(settings)
  t.after(() => bucket.close())
  const noBucket = outage(
    'The bucket does not exist in the object store: create it, or correct its bucket in BUCKETS_FILE',
  )
  const { check, open, ...looks } = callsOf(bucket)
  for (const call of [check, ...Object.values(looks)]) await assert.rejects(call, noBucket)
  // Asked for a certain version, SeaweedFS says that there is no such key; whoever opens has looked before.
  if ((await s3ForTests()).kind === 'seaweedfs') assert.equal(await open(), undefined)
  else await assert.rejects(open, noBucket)
})

test('calls by somebody who has gone end with the reason', async (t) => {
  const { bucket, put } = await filledBucket(t)
  const { ETag: etag = '' } = await put('cat', randomBytes(4 * 1024 * 1024))
  const reason = new Error('the client has gone')
  const thrown = (error: unknown): boolean => error === reason
  for (const call of Object.values(callsOf(bucket, AbortSignal.abort(reason)))) await assert.rejects(call, thrown)
  const client = new AbortController()
  const opened = await bucket.open({ key: 'cat' }, etag, client.signal)
  assert.ok(opened)
  const reading = text(opened.body)
  client.abort(reason)
  await assert.rejects(reading, thrown)
})

test('bodies that nobody reads, and versions that are gone, hold no connection', async (t) => {
  const { bucket, put } = await filledBucket(t, { limits: { maxCalls: 2, maxWaitingCalls: 0 } })
  await put('cat', 'a cat')
  const { etag: old } = await look(bucket, { key: 'cat' })
  const { ETag: etag = '' } = await put('cat', 'another cat')
  for (let index = 0; index < 10; index += 1) {
    assert.equal(await bucket.open({ key: 'cat' }, old, never), undefined)
    ;(await bucket.open({ key: 'cat' }, etag, never))?.body.destroy()
    ;(await bucket.read({ key: 'cat' }, never))?.object.body.destroy()
  }
  assert.equal(await read(bucket, { key: 'cat' }, etag), 'another cat')
})

interface FilledBucket {
  /** What is tested. It sees the server through a proxy. */
  readonly bucket: Bucket
  /** Of `bucket`, as `HEAD /bucket/key`. */
  readonly requests: string[]
  put(key: string, body: string | Buffer): Promise<{ ETag?: string | undefined; VersionId?: string | undefined }>
  remove(key: string, versionId?: string): Promise<{ VersionId?: string | undefined }>
  /** Gives everybody the rights of packaging/s3-read-policy.json. */
  publish(): Promise<void>
}

/** A new bucket, which somebody else fills. */
async function filledBucket(
  t: TestContext,
  { versioned = false, ...options }: Partial<S3BucketSettings> & { versioned?: boolean } = {},
): Promise<FilledBucket> {
  const settings = await newBucket()
  const { bucket: Bucket } = settings
  const owner: S3Client = createTestClient(await s3ForTests())
  const proxy = await startFaultProxy({ target: settings.endpoint })
  const bucket = createS3Bucket({ ...settings, endpoint: proxy.endpoint, ...options })
  t.after(async () => {
    bucket.close()
    owner.destroy()
    await proxy.stop()
  })
  if (versioned) {
    const VersioningConfiguration = { Status: 'Enabled' } as const
    await owner.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }))
  }
  return {
    bucket,
    requests: proxy.requests,
    put: (Key, Body) => owner.send(new PutObjectCommand({ Bucket, Key, Body })),
    remove: (Key, VersionId) =>
      owner.send(new DeleteObjectCommand({ Bucket, Key, ...(VersionId !== undefined && { VersionId }) })),
    async publish() {
      const json = await readFile(READ_POLICY, 'utf8')
      const policy = Policy.parse(JSON.parse(json.replaceAll('my-photos', Bucket)))
      const Statement = policy.Statement.map((statement) => ({ ...statement, Principal: '*' }))
      await owner.send(new PutBucketPolicyCommand({ Bucket, Policy: JSON.stringify({ ...policy, Statement }) }))
    },
  }
}

/** @returns the version, which must be there. */
async function look(bucket: Bucket, address: ObjectAddress): Promise<ObjectVersion> {
  const version = await bucket.look(address, undefined, never)
  assert.ok(typeof version === 'object', `no ${address.key}`)
  return version
}

async function read(bucket: Bucket, address: ObjectAddress, etag: string): Promise<string> {
  const opened = await bucket.open(address, etag, never)
  assert.ok(opened, `no ${address.key}`)
  return text(opened.body)
}

function versionOf({ VersionId }: { VersionId?: string | undefined }): string {
  assert.ok(VersionId)
  return VersionId
}

function callsOf(bucket: Bucket, signal = never) {
  return {
    look: () => bucket.look({ key: 'cat' }, undefined, signal),
    lookAgain: () => bucket.look({ key: 'cat' }, '"0123456789abcdef0123456789abcdef"', signal),
    open: () => bucket.open({ key: 'cat' }, '"0123456789abcdef0123456789abcdef"', signal),
    check: () => bucket.check(signal),
  }
}

function outage(message: string): (error: unknown) => boolean {
  return (error) => error instanceof UnavailableError && error.code === 'store_unavailable' && error.message === message
}
