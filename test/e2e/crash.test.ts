import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { assertAllDecode, assertNamedByContent, assertNothingLost, crash } from '../support/crashing-node.ts'
import { newBucket } from '../support/s3-bucket.ts'

// A thousand by `npm run crash`.
const ROUNDS = Number(process.env['CRASH_ROUNDS'] ?? 50)
const timeout = 60_000 + ROUNDS * 5000

test(`${ROUNDS} nodes killed in the middle of uploads and renders lose nothing and leave no broken file`, {
  timeout,
}, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-crash-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const env = { STORE: `file:${join(folder, 'data')}`, CACHE_DIR: join(folder, 'cache') }
  const { acknowledged, cut, renditions } = await crash({ rounds: ROUNDS, seed: 1, env })
  assert.ok(acknowledged.length >= ROUNDS && renditions >= ROUNDS && cut >= ROUNDS, 'The nodes had too little to do')
  await assertNothingLost(acknowledged, env)
  const files = await assertAllDecode(env.CACHE_DIR)
  const originals = await assertNamedByContent(join(folder, 'data', 'originals'))
  await assertNamedByContent(join(env.CACHE_DIR, 'originals'))
  t.diagnostic(
    `${acknowledged.length} uploads kept, ${originals} originals stored, ${files} renditions decode, ${cut} requests cut`,
  )
})

test('nodes killed in front of an S3 store lose nothing either', { timeout: 120_000 }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-crash-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const { bucket, endpoint, region, credentials } = await newBucket()
  const env = {
    STORE: `s3://${bucket}`,
    S3_ENDPOINT: endpoint,
    S3_REGION: region,
    AWS_ACCESS_KEY_ID: credentials?.accessKeyId ?? '',
    AWS_SECRET_ACCESS_KEY: credentials?.secretAccessKey ?? '',
    CACHE_DIR: join(folder, 'cache'),
  }
  const { acknowledged } = await crash({ rounds: 8, seed: 2, env })
  assert.ok(acknowledged.length > 0)
  await assertNothingLost(acknowledged, env)
  await assertAllDecode(env.CACHE_DIR)
})
