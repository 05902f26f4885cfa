import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { formatSignature, signPath } from '../../src/domain/access/signature.ts'
import { logged } from '../../tools/requests/ask.ts'
import { type RawRequest, rawRequest } from '../../tools/requests/raw-request.ts'
import { newBucket } from '../../tools/s3/s3-bucket.ts'
import { fixture } from '../../tools/servers/darkroom.ts'
import { startNginxFor, startNodeFor, temporaryFolder } from '../../tools/servers/site.ts'
import { writeBucketsFile } from '../support/buckets-file.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

/** To be recognised wherever one turns up. Those for the stores are wrong, so that every call of theirs fails. */
const SECRETS = {
  UPLOAD_TOKENS: 'zz-upload-token-that-nobody-may-see',
  EVENT_TOKENS: 'zz-event-token-that-nobody-may-see',
  URL_KEYS: 'zz-url-key-that-nobody-may-see zz-old-url-key-that-nobody-may-see',
  THUMBOR_KEYS: 'zz-thumbor-key-that-nobody-may-see',
  IMGPROXY_KEYS: '7a7a696d6770726f78796b6579:7a7a696d6770726f787973616c74',
  AWS_ACCESS_KEY_ID: 'ZZACCESSKEYOFTHESTORE',
  AWS_SECRET_ACCESS_KEY: 'zz/secret/of/the/store+that+nobody+may+see',
  AWS_SESSION_TOKEN: 'zz-session-token-of-the-store',
  PHOTOS_KEY: 'ZZACCESSKEYOFABUCKET',
  PHOTOS_SECRET: 'zz/secret/of/a/bucket+that+nobody+may+see',
  PHOTOS_SESSION: 'zz-session-token-of-a-bucket',
} as const
const WORDS = Object.values(SECRETS).flatMap((value) => value.split(/[ :]/))
/** As they are, and as they go over the wire. */
const SPELLINGS = WORDS.flatMap((word) => [
  word,
  encodeURIComponent(word),
  Buffer.from(`:${word}`).toString('base64').replace(/=+$/, ''),
  Buffer.from(word, 'hex').toString('latin1'),
]).filter((word) => word.length > 5)

function assertSilent(what: string, said: string): void {
  for (const word of SPELLINGS) assert.ok(!said.includes(word), `${what} tells ${word}`)
}

async function runMain(args: readonly string[], env: Readonly<Record<string, string>>) {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = once(child, 'close')
  const [out, problems] = await Promise.all([text(child.stdout), text(child.stderr)])
  await ended
  return { code: child.exitCode, said: out + problems }
}

async function settings(t: TestContext) {
  const { bucket, endpoint } = await newBucket()
  const photos = {
    bucket,
    endpoint,
    accessKeyId: '$PHOTOS_KEY',
    secretAccessKey: '$PHOTOS_SECRET',
    sessionToken: '$PHOTOS_SESSION',
  }
  const file = await writeBucketsFile(t, { photos })
  return {
    ...SECRETS,
    STORE: `s3://${bucket}`,
    S3_ENDPOINT: endpoint,
    BUCKETS_FILE: file,
    SIZE_POLICY: 'signed',
    DIALECTS: 'thumbor=/thumbor imgproxy=/imgproxy',
    REMOTE_HOSTS: 'images.test:1',
    REMOTE_DNS: '127.0.0.1:1',
    ACCEL_PREFIX: '/_renditions/',
    LOG_LEVEL: 'debug',
  }
}

/** What is right, what is nearly right, and what is wrong, with secrets wherever a request can have them. */
async function provocations(): Promise<readonly (RawRequest & { readonly path: string })[]> {
  const [key = ''] = SECRETS.URL_KEYS.split(' ')
  const { UPLOAD_TOKENS: token, EVENT_TOKENS: events } = SECRETS
  const authorization = { Authorization: `Bearer ${token}` }
  const id = 'ab'.repeat(20)
  const signed = (path: string, expires?: number) =>
    `${path}${path.includes('?') ? '&' : '?'}${formatSignature(signPath(path, key, expires))}`
  const post = { method: 'POST', headers: { 'Content-Type': 'image/png', ...authorization } }
  const basic = `Basic ${Buffer.from(`name:${events}`).toString('base64')}`
  const event =
    '{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"photos"},"object":{"key":"a.jpg"}}}]}'
  return [
    ...['/', '/healthz', '/readyz', '/metrics', '/nothing', `/images/${id}`, `/images/${id}/info`].map((path) => ({
      path,
    })),
    { path: `/images/${id}/original`, headers: authorization },
    { path: `/images/${id}`, method: 'DELETE', headers: authorization },
    { path: '/images', ...post, body: await fixture('fig-alpha.png') },
    { path: '/images', ...post, body: 'no picture' },
    { path: '/', ...post, body: 'x', headers: { 'Content-Type': `multipart/form-data; boundary=${token}` } },
    { path: signed(`/image/${id}/40w/.jpg`) },
    { path: signed(`/image/${id}/40w/.jpg`, 1) },
    { path: signed('/s3/photos/a.jpg/-/40w') },
    { path: `/image/${id}/40w?s=${key}&e=soon` },
    { path: `/s3/photos/a.jpg/-/40w?s=${key}` },
    { path: '/thumbor/c2lnbmF0dXJl/40x0/http://images.test:1/a.jpg' },
    { path: '/imgproxy/c2lnbmF0dXJl/w:40/plain/http://images.test:1/a.jpg' },
    ...['', 'x', '{}', event].flatMap((body) => [
      { path: `/events/s3?access_token=${events}`, method: 'POST', body },
      { path: `/events/s3?access_token=${events}x`, method: 'POST', body },
      { path: '/events/s3', method: 'POST', body, headers: { Authorization: basic } },
      { path: '/events/s3', method: 'POST', body, headers: { Authorization: `Bearer ${events}` } },
    ]),
    { path: `/events/s3?access_token=${events}`, method: 'POST', body: 'x'.repeat(2_000_000) },
  ]
}

test('No secret of the operator is in an answer, a log, a metric or a message', async (t) => {
  const env = await settings(t)
  const node = await startNodeFor(t, { env, unready: true })
  const nginx = await startNginxFor(t, node, { directHits: false })
  const statuses = new Set<number>()
  const tell = async (origin: string, { path, ...options }: RawRequest & { readonly path: string }) => {
    const { status, rawHeaders, body } = await rawRequest(origin, path, options)
    statuses.add(status)
    const said = `${rawHeaders.join('\n')}\n${body.toString('latin1')}`
    assertSilent(`The answer to ${options.method ?? 'GET'} ${path}`, said)
  }
  const all = await provocations()
  for (const origin of [node.url, nginx.origin, nginx.frontOrigin]) {
    for (const one of all) await tell(origin, one)
  }
  for (const status of [200, 400, 401, 403, 404, 413, 503]) assert.ok(statuses.has(status), String(status))

  await rawRequest(node.url, '/the-last-of-these')
  await logged(node, ({ path }) => path === '/the-last-of-these')
  // Else the store would not have been asked at all.
  assert.ok(
    (await node.log()).some(({ cause }) => /AccessKey|Signature|Forbidden|403|Unauthorized/i.test(String(cause))),
  )
  assertSilent('The log', JSON.stringify(await node.log()))

  const renderers = (await readFile(`/proc/${node.pid}/task/${node.pid}/children`, 'utf8')).trim().split(' ')
  assert.ok(renderers.length > 0 && renderers[0] !== '')
  for (const pid of renderers) {
    assertSilent('The environment of a renderer', await readFile(`/proc/${pid}/environ`, 'latin1'))
    assertSilent('The command line of a renderer', await readFile(`/proc/${pid}/cmdline`, 'latin1'))
  }

  // With the node gone nginx writes into its log of errors.
  await node.stop()
  // All but signatures: the log of errors has those, and docs/security.md says so.
  const isAsked = ({ path }: { readonly path: string }) => !/[?&]s=/.test(path)
  for (const origin of [nginx.origin, nginx.frontOrigin]) {
    for (const one of all.filter(isAsked)) await tell(origin, one)
  }
  assert.match(await nginx.errorLog(), /connect\(\) failed/)
  assertSilent('The error log of nginx', await nginx.errorLog())
  const lines = await nginx.accessLog(all.length * 2)
  assertSilent('The access log of nginx', lines.join('\n'))
})

test('Neither --help nor a refusal to start tells what the settings are', async (t) => {
  const env = await settings(t)
  const help = await runMain(['--help'], env)
  assert.equal(help.code, 0)
  for (const name of Object.keys(SECRETS)) if (!name.startsWith('PHOTOS')) assert.ok(help.said.includes(name), name)
  assertSilent('--help', help.said)

  const literal = join(await temporaryFolder(t), 'literal.yaml')
  await writeFile(
    literal,
    `buckets:\n  photos:\n    accessKeyId: ${SECRETS.PHOTOS_KEY}\n    secretAccessKey: ${SECRETS.PHOTOS_SECRET}\n`,
  )
  const mistakes = {
    'whatever a setting can have wrong': {
      PORT: 'x',
      STORE: SECRETS.AWS_SECRET_ACCESS_KEY,
      IMGPROXY_KEYS: SECRETS.THUMBOR_KEYS,
      UPLOAD_TOKENS: 'zz-short-1',
      EVENT_TOKENS: 'zz-short-2',
      URL_KEYS: 'zz-short-3',
      AWS_SECRET_ACCESS_KEY: '',
    },
    'secrets in the file of buckets': { BUCKETS_FILE: literal },
    'a variable of the file that is empty': { PHOTOS_SECRET: '' },
  }
  for (const [what, wrong] of Object.entries(mistakes)) {
    const { code, said } = await runMain([], { ...env, ...wrong })
    assert.equal(code, 2, what)
    assertSilent(what, said)
    assert.doesNotMatch(said, /zz-short/, what)
  }
})
