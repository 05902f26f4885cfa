import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import { join, resolve } from 'node:path'
import { after, suite, type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { PutBucketPolicyCommand } from '@aws-sdk/client-s3'
import { createS3Store } from '../../src/adapters/s3/s3-store.ts'
import { freePort } from '../../tools/processes/free-port.ts'
import { createScope, type Scope } from '../../tools/processes/scope.ts'
import { keysOf } from '../../tools/s3/s3-bucket.ts'
import { createTestClient, READER_CREDENTIALS, SECOND_CREDENTIALS } from '../../tools/s3/s3-server.ts'
import { s3ForTests } from '../../tools/s3/start-s3-server.ts'
import { makeCertificate } from '../../tools/servers/certificate.ts'
import { startFaultProxy } from '../../tools/servers/fault-proxy.ts'
import type { NginxOptions } from '../../tools/servers/nginx.ts'
import { newStore, startNginxFor, startSite, TOKEN, temporaryFolder } from '../../tools/servers/site.ts'
import { startStubDns } from '../../tools/servers/stub-dns.ts'
import { assertFound, doctorReport } from '../support/doctor.ts'

const execute = promisify(execFile)
const SET_LIFECYCLE = resolve(import.meta.dirname, '../../scripts/set-lifecycle')
const never = new AbortController().signal
/** Of the nginx of the tests. */
const NGINX_USER = '--nginx-user=root'

type Env = Readonly<Record<string, string>>

/** A bucket on SeaweedFS, and the settings of a node that is not started. */
async function stage(t: TestContext, more: Env = {}) {
  const store = await newStore()
  const folder = await temporaryFolder(t)
  await chmod(folder, 0o755)
  const CACHE_DIR = join(folder, 'cache')
  await mkdir(CACHE_DIR)
  return {
    ...store,
    folder,
    env: { ...store.env, CACHE_DIR, UPLOAD_TOKENS: TOKEN, PORT: String(await freePort()), ...more },
  }
}

/** A node on SeaweedFS behind nginx, and its settings. */
async function site(t: Scope, more: Env = {}, nginx: Partial<NginxOptions> = {}) {
  const { env: store, settings } = await newStore()
  await execute(SET_LIFECYCLE, ['--quiet'], { env: store })
  const folder = await temporaryFolder(t)
  await chmod(folder, 0o755)
  const place = { CACHE_DIR: join(folder, 'cache'), PORT: String(await freePort()) }
  const env = { ...store, ...place, UPLOAD_TOKENS: TOKEN, ACCEL_PREFIX: '/_renditions/', ...more }
  const { url, node } = await startSite(t, env, nginx)
  return { node, settings, env, args: ['--url', url, NGINX_USER] as const }
}

const scope = createScope()
after(() => scope.close())
/** The node of several tests; the last of them stops it. */
const healthy = await site(scope)

test('A healthy node behind nginx passes, twice, and nothing but a deletion mark, events and the entry of the node are left', async (t) => {
  const { env, args, settings } = healthy
  for (const run of [1, 2]) {
    const { failures, warnings, seconds, findings } = await doctorReport(env, args)
    assert.deepEqual([failures, warnings], [0, 0], JSON.stringify(findings, undefined, 1))
    const skipped = findings.flatMap(({ check, status }) => (status === 'skipped' ? [check] : []))
    assert.deepEqual(skipped, ['buckets', 'dns', 'certificate'])
    t.diagnostic(`doctor of a healthy node, run ${run}: ${seconds} s`)
  }
  const store = createS3Store(settings)
  t.after(() => store.close())
  const kept = (await keysOf(store, '', never)).map((key) => key.replace(/\/.*/, ''))
  assert.deepEqual([...new Set(kept)], ['deleted', 'invalidations', 'nodes', 'outbox'])
})

test('A bucket without a lifecycle rule for shared renditions is found, and scripts/set-lifecycle adds it', async (t) => {
  const { env } = await stage(t)
  assertFound(await doctorReport(env, []), {
    check: 'lifecycle',
    status: 'warning',
    message: /No lifecycle rule .* renditions\//,
    fix: /scripts\/set-lifecycle/,
  })
  const set = async (...args: readonly string[]) => (await execute(SET_LIFECYCLE, args, { env })).stdout
  assert.match(await set('--dry-run'), /after 31 days would be set/)
  assert.match(await set(), /renditions\/ after 31 days is set/)
  assert.match(await set('--json'), /"days":31,"dryRun":false,"changed":false/)
  const { findings } = await doctorReport({ ...env, SHARE_RENDITIONS_DAYS: '40' }, [])
  assert.match(
    findings.find(({ check }) => check === 'lifecycle')?.message ?? '',
    /after 31 days, before the nodes stop/,
  )
})

test('An nginx that looks for files in another folder is found', async (t) => {
  const { env, node } = healthy
  const other = await startNginxFor(t, { port: node.port, cacheDir: await temporaryFolder(t) })
  assertFound(await doctorReport(env, ['--url', other.origin, NGINX_USER]), {
    check: 'nginx files',
    status: 'failure',
    message: /answered 404 for a file that exists/,
    fix: /\$hit_tree in nginx\.conf to \S+\/cache\/renditions/,
  })
})

test('An nginx that sends files without checking signatures is found', async (t) => {
  const { env, args } = await site(t, { SIZE_POLICY: 'signed', URL_KEYS: 'a-key-for-signatures' })
  assertFound(await doctorReport(env, args), {
    check: 'nginx files',
    status: 'failure',
    message: /without checking signatures/,
    fix: /\$direct_hits in nginx\.conf to off/,
  })
})

test('An nginx with other tag headers than the node is found', async (t) => {
  const { env, args } = await site(t, { CACHE_TAG_HEADERS: 'Cache-Tag,Surrogate-Key' })
  assertFound(await doctorReport(env, args), {
    check: 'nginx files',
    status: 'failure',
    message: /other tag headers/,
    fix: /\$tag_headers in nginx\.conf to "Cache-Tag,Surrogate-Key"/,
  })
})

test('An nginx whose size steps do not match the size policy is found', async (t) => {
  const on = { site: { 'map "" $size_steps { default off; }': 'map "" $size_steps { default on; }' } }
  const open = await site(t, {}, on)
  assertFound(await doctorReport(open.env, open.args), {
    check: 'nginx files',
    status: 'failure',
    message: /files of other sizes/,
    fix: /\$size_steps in nginx\.conf to off/,
  })
  const steps = await site(t, { SIZE_POLICY: 'steps' })
  assertFound(await doctorReport(steps.env, steps.args), {
    check: 'nginx files',
    status: 'warning',
    message: /passes sizes between the steps to the node/,
    fix: /\$size_steps in nginx\.conf to on/,
  })
  const right = await site(t, { SIZE_POLICY: 'steps' }, on)
  const { failures, warnings, findings } = await doctorReport(right.env, right.args)
  assert.deepEqual([failures, warnings], [0, 0], JSON.stringify(findings, undefined, 1))
})

test('An nginx without the header of ACCEL_PREFIX is found', async (t) => {
  const { env, node } = healthy
  const old = await startNginxFor(t, node, { without: ['X-Darkroom-Accel-Prefix'] })
  assertFound(await doctorReport(env, ['--url', old.origin, NGINX_USER]), {
    check: 'readiness',
    status: 'warning',
    message: /ACCEL_PREFIX is set, but requests do not come through nginx/,
    fix: /Degraded state/,
  })
})

test('A node that is down behind its nginx is found', async () => {
  const { env, node, args } = healthy
  await node.stop()
  assertFound(await doctorReport(env, args), {
    check: 'round trip',
    status: 'failure',
    message: /upload of a picture was answered 503/,
    fix: /journalctl -u darkroom/,
  })
})

test('A node that does not trust its proxy is found; with signed URLs it passes otherwise', async (t) => {
  const signed = { SIZE_POLICY: 'signed', URL_KEYS: 'a-key-for-signatures' }
  const { env, args } = await site(t, { ...signed, ACCEL_PREFIX: '' }, { directHits: false })
  const report = await doctorReport(env, args)
  assertFound(report, {
    check: 'proxies',
    status: 'warning',
    message: /^X-Forwarded-For of 127\.0\.0\.1 is not trusted/,
    fix: /TRUSTED_PROXIES="127\.0\.0\.1"/,
  })
  assert.deepEqual([report.failures, report.warnings], [0, 1], JSON.stringify(report.findings, undefined, 1))
})

suite('The doctor of a node that is not running', { concurrency: 2 }, () => {
  test('A wrong secret and an expired certificate are found', async (t) => {
    const port = await serveExpired(t)
    const { env } = await stage(t, { AWS_SECRET_ACCESS_KEY: 'wrong', PUBLIC_URL: `https://127.0.0.1:${port}` })
    const report = await doctorReport(env, [])
    assertFound(report, {
      check: 'store',
      status: 'failure',
      message: /fails to list: .* rejects the credentials: check AWS_ACCESS_KEY_ID .*SignatureDoesNotMatch/,
      fix: /AWS_SECRET_ACCESS_KEY/,
    })
    assertFound(report, {
      check: 'certificate',
      status: 'failure',
      message: /127\.0\.0\.1:\d+ expired on/,
      fix: /certbot renew/,
    })
    const { measured } = report.findings.find(({ check }) => check === 'certificate') ?? {}
    assert.ok((measured?.['certificateDaysLeft'] ?? 0) < 0)
  })

  test('A missing bucket and a DNS server that does not answer are found', async (t) => {
    const { server } = await startStubDns(t, () => 'silent')
    const { env } = await stage(t, { STORE: 's3://no-such-bucket', REMOTE_HOSTS: 'cat.example', REMOTE_DNS: server })
    const report = await doctorReport(env, [])
    assertFound(report, {
      check: 'store',
      status: 'failure',
      message: /bucket does not exist/,
      fix: /Create the bucket of STORE=s3:\/\/no-such-bucket/,
    })
    assertFound(report, {
      check: 'dns',
      status: 'failure',
      message: /does not answer \(ETIMEOUT\)/,
      fix: /Correct REMOTE_DNS/,
    })
  })

  test('A user who may not delete, and a clock that is behind, are found', async (t) => {
    const { settings, endpoint, env } = await stage(t, {
      AWS_ACCESS_KEY_ID: SECOND_CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: SECOND_CREDENTIALS.secretAccessKey,
    })
    await allow(settings.bucket, ['s3:ListBucket', 's3:GetObject', 's3:PutObject'])
    const proxy = await startFaultProxy({ target: endpoint })
    t.after(proxy.stop)
    const date = new Date(Date.now() + 600_000).toUTCString()
    await proxy.setFault({ kind: 'headers', headers: { date }, matching: { method: /^HEAD$/, path: /^\/$/ } })
    const report = await doctorReport({ ...env, S3_ENDPOINT: proxy.endpoint }, [])
    assertFound(report, {
      check: 'store',
      status: 'failure',
      message: /fails to delete: /,
      fix: /allow s3:DeleteObject/,
    })
    assertFound(report, {
      check: 'clock',
      status: 'failure',
      message: /(?:5\d\d|600) s behind the S3 server/,
      fix: /timedatectl/,
    })
  })

  test('A user who may only read is enough for a read-only node, and found for one with upload tokens', async (t) => {
    const { folder, settings, endpoint, env } = await stage(t, {
      AWS_ACCESS_KEY_ID: READER_CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: READER_CREDENTIALS.secretAccessKey,
    })
    const BUCKETS_FILE = join(folder, 'buckets.yaml')
    const entry = `endpoint: "${endpoint}", accessKeyId: $AWS_ACCESS_KEY_ID, secretAccessKey: $AWS_SECRET_ACCESS_KEY`
    await writeFile(BUCKETS_FILE, `buckets: { photos: { bucket: ${settings.bucket}, ${entry} }, lost: { ${entry} } }`)
    const { failures, findings } = await doctorReport({ ...env, UPLOAD_TOKENS: '' }, [])
    assert.equal(failures, 0, JSON.stringify(findings))
    const report = await doctorReport({ ...env, BUCKETS_FILE }, [])
    assertFound(report, { check: 'store', status: 'failure', message: /fails to put: /, fix: /allow s3:PutObject/ })
    assertFound(report, {
      check: 'buckets',
      status: 'failure',
      message: /^Bucket "lost" fails: /,
      fix: /Create the bucket of buckets\.lost/,
    })
    const photos = report.findings.find(({ message }) => message.includes('"photos"'))
    assert.equal(photos?.status, 'ok', photos?.message)
  })

  test('A store and an nginx that are down, and a host name that does not exist, are found', async (t) => {
    const { folder, env } = await stage(t, { S3_ENDPOINT: `http://127.0.0.1:${await freePort()}` })
    const BUCKETS_FILE = join(folder, 'buckets.yaml')
    await writeFile(BUCKETS_FILE, 'buckets: { photos: { endpoint: "http://minio.invalid:9000" } }')
    const url = `http://127.0.0.1:${await freePort()}`
    const report = await doctorReport({ ...env, BUCKETS_FILE, ACCEL_PREFIX: '/_renditions/' }, [
      '--url',
      url,
      NGINX_USER,
    ])
    for (const check of ['nginx files', 'round trip']) {
      assertFound(report, { check, status: 'failure', message: /ECONNREFUSED/, fix: /systemctl start/ })
    }
    assertFound(report, {
      check: 'store',
      status: 'failure',
      message: /store is unreachable .*ECONNREFUSED/,
      fix: /Check that the S3 server runs.* S3_ENDPOINT=http:\/\/127/,
    })
    assertFound(report, {
      check: 'dns',
      status: 'failure',
      message: /^minio\.invalid /,
      fix: /getent hosts minio\.invalid/,
    })
  })
})

/** @returns the port of a server on 127.0.0.1. */
async function serveExpired(t: TestContext): Promise<number> {
  const server = createServer(await makeCertificate({ names: ['IP:127.0.0.1'], days: -1 }))
  const port = await freePort()
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return port
}

/** Allows everybody some actions in a bucket. */
async function allow(Bucket: string, Action: readonly string[]): Promise<void> {
  const client = createTestClient(await s3ForTests())
  const Resource = [`arn:aws:s3:::${Bucket}`, `arn:aws:s3:::${Bucket}/*`]
  const Statement = [{ Effect: 'Allow', Principal: '*', Action, Resource }]
  try {
    await client.send(
      new PutBucketPolicyCommand({ Bucket, Policy: JSON.stringify({ Version: '2012-10-17', Statement }) }),
    )
  } finally {
    client.destroy()
  }
}
