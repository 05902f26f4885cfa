import assert from 'node:assert/strict'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { assertPicture, noisePicture } from '../pictures/picture.ts'
import { ask, assertUnavailable, recoversIn } from '../requests/ask.ts'
import { jsonFields } from '../requests/raw-request.ts'
import { createCollector } from '../servers/collected.ts'
import { startDarkroom } from '../servers/darkroom.ts'
import { footprint } from '../servers/footprint.ts'
import { newStore, startNginxFor } from '../servers/site.ts'
import type { FaultRow, RowScope } from './row.ts'
import { BEHIND_NGINX, setStage, upload } from './stage.ts'
import { endure } from './store-rows.ts'

const MIB = 1024 * 1024
/** What a node may hold more after thousands of misses: code made for speed, connections, and the memory of the misses. */
const MOST_KEPT_BYTES = 50 * MIB

/** Starts a node that cannot use its bucket: it lives, is not ready, says why, and gives no other answer than 503. */
async function startsUnready(scope: RowScope, env: Readonly<Record<string, string>>, reason: RegExp): Promise<string> {
  const node = await startDarkroom({ unready: true, env: { ...BEHIND_NGINX, ...env } })
  scope.after(() => node.stop())
  const nginx = await startNginxFor(scope, node, { directHits: false })
  const { id, bytes } = await noisePicture(8)
  const answers = [
    await scope.tally.ask(`${nginx.origin}/image/${id}/40w/x.jpg`),
    await scope.tally.ask(`${nginx.origin}/images/${id}`),
    await upload(scope, nginx.origin, bytes),
  ]
  const secrets = [env['STORE'] ?? '', env['AWS_ACCESS_KEY_ID'] ?? '', env['AWS_SECRET_ACCESS_KEY'] ?? ''].map(
    (secret) => secret.replace('s3://', ''),
  )
  for (const answer of answers) assertUnavailable(answer, /^store_unavailable$/, secrets)
  assert.equal((await ask(`${node.url}/healthz`)).status, 200)
  const ready = await ask(`${node.url}/readyz`)
  assert.equal(ready.status, 503)
  assert.match(ready.body.toString(), reason)
  for (const secret of secrets) assert.ok(!ready.body.includes(secret))
  scope.says(`started so: live 200, ready 503, says "${reason.source}"`)
  return nginx.origin
}

async function wrongCredentials(scope: RowScope): Promise<void> {
  const { env } = await newStore()
  await startsUnready(scope, { ...env, AWS_SECRET_ACCESS_KEY: 'a-wrong-secret' }, /rejects the credentials/)
  const fault = { kind: 'status', status: 403, code: 'InvalidAccessKeyId' } as const
  await endure(scope, await setStage(scope), { fault, reason: /rejects the credentials/, withinMs: 1000 })
}

async function missingBucket(scope: RowScope): Promise<void> {
  const { env, settings } = await newStore()
  const bucket = `missing-${Date.now()}`
  const url = await startsUnready(scope, { ...env, STORE: `s3://${bucket}` }, /bucket does not exist/)
  const { endpoint, region, credentials } = settings
  const client = new S3Client({
    region,
    forcePathStyle: true,
    ...(endpoint !== undefined && { endpoint }),
    ...(credentials !== undefined && { credentials }),
  })
  scope.after(() => client.destroy())
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  const { bytes } = await noisePicture(9)
  const isTaken = ({ status }: { status: number }): boolean => status === 201
  scope.recovered(await recoversIn(() => upload(scope, url, bytes), isTaken))
  const fault = { kind: 'status', status: 404, code: 'NoSuchBucket' } as const
  await endure(scope, await setStage(scope), { fault, reason: /bucket does not exist/, withinMs: 1000 })
}

async function missingKey(scope: RowScope): Promise<void> {
  const collector = await createCollector()
  const { node, url, late, post } = await setStage(scope, { env: collector.env })
  const missing = `${url}/image/${late.id}/40w/x.jpg`
  for (const answer of [await scope.tally.ask(missing), await scope.tally.ask(`${url}/images/${late.id}`)]) {
    assert.equal(answer.status, 404)
    const [, seconds] = /^public, max-age=(\d+)$/.exec(answer.headers.get('cache-control') ?? '') ?? []
    assert.ok(Number(seconds) <= 60)
  }
  const count = scope.short ? 300 : 3000
  const fresh = await footprint(node)
  for (let from = 0; from < count; from += 50) {
    const ids = Array.from({ length: 50 }, (_, at) => String(from + at + 1).padStart(40, '0'))
    for (const { status } of await Promise.all(ids.map((id) => scope.tally.ask(`${url}/image/${id}/40w`)))) {
      assert.equal(status, 404)
    }
  }
  const [before, peak] = [fresh, await footprint(node)].map(({ rssBytes }) => Math.round(rssBytes / MIB))
  const after = await collector.settledRssBytes(node, fresh.rssBytes + MOST_KEPT_BYTES)
  scope.says(
    `${count} missing ids: all 404 for 5 s; memory ${before} MiB before, ${peak} after them, ${Math.round(after / MIB)} when V8 has collected`,
  )
  assert.ok(after <= fresh.rssBytes + MOST_KEPT_BYTES)
  assert.equal((await post(late.bytes)).status, 201)
  scope.recovered(
    await recoversIn(
      () => scope.tally.ask(missing),
      ({ status }) => status === 200,
    ),
  )
  await assertPicture((await scope.tally.ask(missing)).body, { format: 'jpeg', width: 40 })
}

async function lostAnswer(scope: RowScope): Promise<void> {
  const { url, proxy, post } = await setStage(scope)
  let seed = 100
  for (const path of [/\/originals\//, /\/records\//]) {
    for (let times = 0; times < 5; times += 1) {
      const { id, bytes } = await noisePicture((seed += 1))
      await proxy.setFault({ kind: 'lose-answer', matching: { method: /^PUT$/, path, first: 1 } })
      const first = await post(bytes)
      assert.equal(first.status, 201, first.body.toString())
      assert.equal(jsonFields(first.body)['id'], id)
      assert.equal((await post(bytes)).status, 200)
    }
  }
  // All of them lost: acknowledged is only what is there.
  const { id, bytes } = await noisePicture((seed += 1))
  await proxy.setFault({ kind: 'lose-answer', matching: { method: /^PUT$/ } })
  const lost = await post(bytes)
  if (lost.status !== 201) assertUnavailable(lost, /^store_unavailable$/)
  await proxy.setFault(undefined)
  const again = ({ status, body }: { status: number; body: Buffer }): boolean =>
    (status === 200 || status === 201) && jsonFields(body)['id'] === id
  scope.recovered(await recoversIn(() => post(bytes), again))
  assert.equal((await scope.tally.ask(`${url}/images/${id}`)).status, 200)
  scope.says(
    `one answer lost: 10 of 10 201, repeated 200 with the same id; all lost: ${lost.status}, repeated the same id`,
  )
}

async function full(scope: RowScope): Promise<void> {
  const stage = await setStage(scope)
  for (const code of ['XMinioStorageFull', 'QuotaExceeded']) {
    await stage.proxy.setFault({ kind: 'status', status: 507, code, matching: { method: /^PUT$/ } })
    for (let times = 0; times < 10; times += 1) {
      const refused = await stage.post(stage.late.bytes)
      assertUnavailable(refused, /^store_full$/)
      assert.match(refused.body.toString(), /The object store is full/)
      assert.equal((await scope.tally.ask(`${stage.url}/image/${stage.fresh.id}/${60 + times}w/x.jpg`)).status, 200)
    }
  }
  scope.says('20 uploads 503 "The object store is full", 20 pictures beside them 200')
  await stage.proxy.setFault(undefined)
  scope.recovered(
    await recoversIn(
      () => stage.post(stage.late.bytes),
      ({ status }) => status === 201,
    ),
  )
}

export const BUCKET_ROWS: readonly FaultRow[] = [
  {
    row: 8,
    fault: 'wrong credentials',
    what: 'A node starts with a wrong secret; a running node’s key is rejected',
    run: wrongCredentials,
  },
  {
    row: 9,
    fault: 'bucket missing',
    what: 'A node starts without its bucket; a running node loses it',
    run: missingBucket,
  },
  {
    row: 10,
    fault: 'key missing',
    what: 'Requests for thousands of missing images; one of them is then uploaded',
    run: missingKey,
  },
  {
    row: 11,
    fault: 'response to PUT lost',
    what: 'The store accepts an object, and the connection closes before its response',
    run: lostAnswer,
  },
  { row: 12, fault: 'store full', what: 'Every PUT gets a 507', run: full },
]
