import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile, symlink, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { PutBucketPolicyCommand, S3Client } from '@aws-sdk/client-s3'
import { z } from 'zod'
import { createFileStore } from '../../src/adapters/file-store/file-store.ts'
import { createS3Store } from '../../src/adapters/s3/s3-store.ts'
import { resourceId, versionId } from '../../src/domain/identity/image-id.ts'
import { remoteOriginalKey, remotePointerKey, remoteRenditionKey } from '../../src/domain/stored/store-layout.ts'
import type { ObjectStore } from '../../src/service/ports/store.ts'
import { jsonFields } from '../../tools/requests/raw-request.ts'
import { keysOf } from '../../tools/s3/s3-bucket.ts'
import { SECOND_CREDENTIALS } from '../../tools/s3/s3-server.ts'
import { s3ForTests } from '../../tools/s3/start-s3-server.ts'
import { newStore, temporaryFolder } from '../../tools/servers/site.ts'
import { PURGE_REMOTES, purgeRemotes } from '../support/purge-remotes.ts'

const never = new AbortController().signal
const HOUR_SECONDS = 3600
const BYTES = 2000

async function put(store: ObjectStore, key: string, sizeBytes = BYTES): Promise<void> {
  const bytes = Buffer.alloc(sizeBytes, 7)
  const md5 = createHash('md5').update(bytes).digest('hex')
  await store.put(key, { bytes }, { contentType: 'image/png', sizeBytes, md5, overwrite: true }, never)
}

/** Everything that a node keeps of a remote image. @returns the keys. */
async function addRemote(store: ObjectStore, name: string): Promise<readonly string[]> {
  const resource = resourceId({ kind: 'remote', url: `https://a.example/${name}` })
  const version = versionId(resource, name)
  const keys = [
    remoteOriginalKey(resource, version),
    remoteRenditionKey(resource, version, '1-100w.webp'),
    remotePointerKey(resource),
  ]
  for (const key of keys) await put(store, key)
  return keys
}

/** A store in a folder with remote images of these ages, the most recent first, and an upload. */
async function fillFolder(t: TestContext, hours: readonly number[]) {
  const folder = await temporaryFolder(t)
  const store = createFileStore(folder)
  await put(store, 'originals/3f/2a/3f2a', 10 * BYTES)
  const now = Date.now() / 1000
  const images: (readonly string[])[] = []
  for (const age of hours) {
    const keys = await addRemote(store, `${age}`)
    for (const key of keys) await utimes(join(folder, key), now, now - age * HOUR_SECONDS)
    images.push(keys)
  }
  return { folder, store, images, env: { STORE: `file:${folder}`, REMOTE_MAX_BYTES: String(2 * 3 * BYTES) } }
}

const kept = async (store: ObjectStore) => (await keysOf(store, '', never)).toSorted()

test('file: the oldest go until the rest fits, and nothing else', async (t) => {
  const { store, images, env } = await fillFolder(t, [1, 2, 3, 4, 5])
  const dry = await purgeRemotes(env, ['--dry-run'])
  assert.match(dry.stdout, /^purge-remotes: would delete 3 of 5 images, 17\.6 KiB of 29\.3 KiB, in [\d.]+ s\n$/)
  assert.deepEqual([dry.code, dry.stderr], [0, ''])
  assert.deepEqual(await kept(store), ['originals/3f/2a/3f2a', ...images.flat()].toSorted())
  const { code, stdout, stderr } = await purgeRemotes(env)
  assert.deepEqual([code, stderr], [0, ''])
  assert.match(stdout, /^purge-remotes: deleted 3 of 5 images, 17\.6 KiB of 29\.3 KiB, in [\d.]+ s\n$/)
  assert.deepEqual(await kept(store), ['originals/3f/2a/3f2a', ...images.slice(0, 2).flat()].toSorted())
  assert.deepEqual(await purgeRemotes(env, ['--quiet']), { code: 0, stdout: '', stderr: '' })
})

test('s3: the oldest go until the rest fits, and nothing else', async (t) => {
  const { env, settings } = await newStore()
  const store = createS3Store(settings)
  t.after(() => store.close())
  await put(store, 'originals/3f/2a/3f2a', 10 * BYTES)
  const old = [await addRemote(store, 'a'), await addRemote(store, 'b')]
  await untilLater(store, old.flat())
  const recent = [await addRemote(store, 'c'), await addRemote(store, 'd')]
  const { code, stdout } = await purgeRemotes(env, ['--json', '--max-bytes', String(2 * 3 * BYTES)])
  assert.equal(code, 0)
  const { images, removedImages, removedObjects, removedBytes, failed } = jsonFields(stdout)
  assert.deepEqual([images, removedImages, removedObjects, removedBytes, failed], [4, 2, 6, 6 * BYTES, 0])
  assert.deepEqual(await kept(store), ['originals/3f/2a/3f2a', ...recent.flat()].toSorted())
})

test('s3: the rights of packaging/s3-purge-policy.json are enough, and for no upload', async (t) => {
  const { env, settings } = await newStore()
  const store = createS3Store(settings)
  t.after(() => store.close())
  await put(store, 'originals/3f/2a/3f2a')
  await addRemote(store, 'a')
  const { accessKeyId, secretAccessKey } = SECOND_CREDENTIALS
  const limited = { ...env, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey }
  const refused = await purgeRemotes(limited, ['--max-bytes=0'])
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /^purge-remotes: The object store rejects the credentials: check [^\n]+\n$/)
  await allowEverybody(settings.bucket, 'packaging/s3-purge-policy.json')
  assert.deepEqual(await purgeRemotes(limited, ['--max-bytes=0', '--quiet']), { code: 0, stdout: '', stderr: '' })
  assert.deepEqual(await kept(store), ['originals/3f/2a/3f2a'])
  const other = createS3Store({ ...settings, credentials: SECOND_CREDENTIALS })
  t.after(() => other.close())
  await assert.rejects(other.remove('originals/3f/2a/3f2a', never), /rejects the credentials/)
  await assert.rejects(keysOf(other, 'originals/', never), /rejects the credentials/)
})

test('--help says what there is', async () => {
  const { code, stdout, stderr } = await purgeRemotes({}, ['--help'])
  assert.deepEqual([code, stderr], [0, ''])
  for (const text of ['--max-bytes', '--dry-run', '--json', '--quiet', 'REMOTE_MAX_BYTES']) {
    assert.ok(stdout.includes(text), text)
  }
})

test('Wrong options and settings are told together, and nothing is done', async (t) => {
  const { store, images, env } = await fillFolder(t, [1])
  const options = await purgeRemotes(env, ['--max-bytes', 'lots', '--dry-run=no', '--frob'])
  assert.equal(options.code, 2)
  for (const complaint of ['--max-bytes: "lots"', '--dry-run: takes', '--frob: unknown']) {
    assert.ok(options.stderr.includes(complaint), complaint)
  }
  const settings = await purgeRemotes({ ...env, REMOTE_MAX_BYTES: 'lots' })
  assert.deepEqual([settings.code, settings.stdout], [2, ''])
  assert.match(settings.stderr, /REMOTE_MAX_BYTES: should be a number of bytes/)
  const absent = await purgeRemotes({ ...env, STORE: `file:${await temporaryFolder(t)}/none` }, ['--json'])
  assert.equal(absent.code, 2)
  assert.match(
    absent.stderr,
    /^purge-remotes: STORE: the folder \S+\/none does not exist; run this command with the settings/,
  )
  assert.equal((await kept(store)).length, 1 + images.flat().length)
})

test('A store that is down is said, with exit code 1', async () => {
  const { env } = await newStore()
  const { code, stdout, stderr } = await purgeRemotes({ ...env, S3_ENDPOINT: 'http://127.0.0.1:1' }, ['--json'])
  assert.equal(code, 1)
  assert.match(stdout, /^\{"error":"failed","message":"The object store [^\n]+"\}\n$/)
  assert.match(stderr, /^purge-remotes: The object store /)
})

test('It runs through a symbolic link, with an empty PATH', async (t) => {
  const { env } = await fillFolder(t, [1])
  const link = join(await temporaryFolder(t), 'purge')
  await symlink(PURGE_REMOTES, link)
  const { code, stdout } = await purgeRemotes({ ...env, PATH: '' }, ['--dry-run'], link)
  assert.deepEqual([code, stdout.startsWith('purge-remotes: would delete 0 of 1 images')], [0, true])
})

/** Resolves when what is written to the store has a time that is later by some seconds: stores round them in different ways. */
async function untilLater(store: ObjectStore, keys: readonly string[]): Promise<void> {
  const timeOf = async (key: string) => Number((await store.stat(key, never))?.modifiedAt)
  const last = Math.max(...(await Promise.all(keys.map(timeOf))))
  do await put(store, 'probe')
  while ((await timeOf('probe')) < last + 4000)
  await store.remove('probe', never)
}

const Policy = z.object({
  Version: z.string(),
  Statement: z.array(z.looseObject({ Effect: z.string(), Action: z.array(z.string()), Resource: z.array(z.string()) })),
})

/** Gives everybody the rights of a policy of ours, in this bucket. */
async function allowEverybody(Bucket: string, file: string): Promise<void> {
  const json = await readFile(new URL(`../../${file}`, import.meta.url), 'utf8')
  const policy = Policy.parse(JSON.parse(json.replaceAll(':::darkroom', `:::${Bucket}`)))
  const Statement = policy.Statement.map((statement) => ({ ...statement, Principal: '*' }))
  const { endpoint, region, accessKeyId, secretAccessKey } = await s3ForTests()
  const owner = new S3Client({ endpoint, region, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } })
  try {
    await owner.send(new PutBucketPolicyCommand({ Bucket, Policy: JSON.stringify({ ...policy, Statement }) }))
  } finally {
    owner.destroy()
  }
}
