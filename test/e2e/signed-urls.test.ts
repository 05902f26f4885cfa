import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { PutBucketVersioningCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { objectUrl, remoteUrl, signUrl } from '../../examples/signing/sign.ts'
import { assertPicture } from '../../tools/pictures/picture.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { newBucket } from '../../tools/s3/s3-bucket.ts'
import { fixture, upload } from '../../tools/servers/darkroom.ts'
import { startRemoteSite } from '../../tools/servers/remote-site.ts'
import { startNodeFor } from '../../tools/servers/site.ts'
import { writeBucketsFile } from '../support/buckets-file.ts'

const KEY = 'the-key-of-this-test:ñ'
const OBJECT_KEY = "2024/a b+c?d%!'(1)*~ 写真/-/cat.jpg"

interface VersionedBucket {
  /** Settings of a node that serves the bucket as "photos". */
  readonly env: Readonly<Record<string, string>>
  /** @returns the version. */
  put(key: string, body: Buffer): Promise<string>
}

async function versionedBucket(t: TestContext): Promise<VersionedBucket> {
  const { bucket: Bucket, endpoint, region, credentials } = await newBucket()
  const client = new S3Client({ endpoint, region, forcePathStyle: true, ...(credentials && { credentials }) })
  t.after(() => client.destroy())
  await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }))
  const { accessKeyId = '', secretAccessKey = '' } = typeof credentials === 'object' ? credentials : {}
  const access = { bucket: Bucket, endpoint, accessKeyId: '$PHOTOS_KEY', secretAccessKey: '$PHOTOS_SECRET' }
  const file = await writeBucketsFile(t, { photos: access })
  return {
    env: { BUCKETS_FILE: file, PHOTOS_KEY: accessKeyId, PHOTOS_SECRET: secretAccessKey },
    async put(Key, Body) {
      const { VersionId } = await client.send(new PutObjectCommand({ Bucket, Key, Body }))
      assert.ok(VersionId)
      return VersionId
    },
  }
}

test('A node admits URLs of every form that examples/signing signs, and none without the signature', async (t) => {
  const photograph = await fixture('mountains.jpg')
  const remotes = await startRemoteSite(t)
  const address = `${remotes.origin}/a%20b.jpg?c=d&e=1`
  remotes.pages.set(new URL(address).pathname + new URL(address).search, { body: photograph })
  const bucket = await versionedBucket(t)
  const object = { bucket: 'photos', key: OBJECT_KEY }
  const versionId = await bucket.put(OBJECT_KEY, photograph)
  const env = { ...remotes.env, ...bucket.env, SIZE_POLICY: 'signed', URL_KEYS: KEY }
  const { url } = await startNodeFor(t, { env })
  const { id } = jsonFields(await (await upload(url, photograph, 'image/jpeg')).text())

  const image = `/image/${String(id)}`
  const unsigned = [`${image}/120w`, `${image}/120w.jpg`, `${image}/120w/a%20cat.v2.jpg`, `${image}/80w60h,cover,1.5x`]
  for (const picture of ['120w', '120w.jpg', '120w/cat.jpg']) {
    unsigned.push(objectUrl({ ...object, picture }), objectUrl({ ...object, picture, versionId }))
  }
  unsigned.push(remoteUrl({ url: address, size: '120w' }), remoteUrl({ url: address, size: '120w', format: 'jpg' }))
  const expires = Math.floor(Date.now() / 1000) + 3600
  for (const path of unsigned) {
    for (const signed of [signUrl(path, KEY), signUrl(path, KEY, expires)]) {
      const { status, body } = await rawRequest(url, signed)
      assert.equal(status, 200, signed)
      await assertPicture(body, { format: 'jpeg', width: 120 })
    }
    const expired = signUrl(path, KEY, expires - 7200)
    const refusals = { [path]: 'signature_invalid', [expired]: 'signature_expired' }
    for (const [refused, code] of Object.entries(refusals)) {
      const { status, body } = await rawRequest(url, refused)
      assert.deepEqual([status, jsonFields(body)['error']], [403, code], refused)
    }
  }
})
