import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createServer, Agent as HttpAgent, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer, Agent as HttpsAgent } from 'node:https'
import type { LookupFunction } from 'node:net'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { exchange } from '../../src/adapters/s3/s3-exchange.ts'
import { createS3Bucket, type S3BucketSettings } from '../../src/adapters/s3/s3-reader.ts'
import { createS3Store } from '../../src/adapters/s3/s3-store.ts'
import type { Bucket } from '../../src/service/ports/bucket.ts'
import { newBucket } from '../../tools/s3/s3-bucket.ts'
import { makeCertificate } from '../../tools/servers/certificate.ts'
import { startFaultProxy } from '../../tools/servers/fault-proxy.ts'

const never = new AbortController().signal
const HOUR_MS = 3_600_000
const REFUSED = { name: 'S3Failure', verdict: 'refused' } as const

for (const hours of [-2, 2]) {
  test(`with a clock ${Math.abs(hours)} hours ${hours < 0 ? 'slow' : 'fast'}, objects are read, and after the first call without a retry`, async (t) => {
    const { settings, etag } = await bucketWithCat()
    const proxy = await startFaultProxy({ target: settings.endpoint })
    t.after(proxy.stop)
    const bucket = opened(t, { ...settings, endpoint: proxy.endpoint })
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() + hours * HOUR_MS })
    assert.equal(await read(bucket, etag), 'a cat')
    proxy.requests.length = 0
    assert.equal(await read(bucket, etag), 'a cat')
    await bucket.check(never)
    assert.deepEqual(
      proxy.requests.map((request) => request.split(' ')[0]),
      ['HEAD', 'GET', 'GET'],
    )
  })
}

test('credentials that a server hands out are renewed when they expire', async (t) => {
  const { settings, etag } = await bucketWithCat()
  const { credentials, ...others } = settings
  assert.ok(credentials)
  let secret = credentials.secretAccessKey
  const url = await serve(t, (_request, answer) => {
    const Expiration = new Date(Date.now() + HOUR_MS).toISOString()
    answer.setHeader('content-type', 'application/json')
    answer.end(JSON.stringify({ AccessKeyId: credentials.accessKeyId, SecretAccessKey: secret, Token: '', Expiration }))
  })
  setEnvironment(t, {
    AWS_ACCESS_KEY_ID: undefined,
    AWS_SECRET_ACCESS_KEY: undefined,
    AWS_SESSION_TOKEN: undefined,
    AWS_PROFILE: undefined,
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    AWS_CONTAINER_CREDENTIALS_FULL_URI: url,
  })
  const bucket = opened(t, others)
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() })
  assert.equal(await read(bucket, etag), 'a cat')
  secret = 'another secret'
  assert.equal(await read(bucket, etag), 'a cat', 'the first are still valid')
  t.mock.timers.tick(HOUR_MS + 1000)
  await assert.rejects(read(bucket, etag), REFUSED)
  secret = credentials.secretAccessKey
  t.mock.timers.tick(HOUR_MS + 1000)
  assert.equal(await read(bucket, etag), 'a cat')
})

test('without credentials nothing is sent', async (t) => {
  const requests: string[] = []
  const endpoint = await serve(t, ({ url = '' }, answer) => {
    requests.push(url)
    answer.end()
  })
  setEnvironment(t, {
    AWS_ACCESS_KEY_ID: undefined,
    AWS_SECRET_ACCESS_KEY: undefined,
    AWS_PROFILE: undefined,
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    AWS_EC2_METADATA_DISABLED: 'true',
  })
  const bucket = opened(t, { bucket: 'my-bucket', region: 'us-east-1', forcePathStyle: true, endpoint })
  for (const call of [
    () => bucket.look({ key: 'cat' }, undefined, never),
    () => bucket.open({ key: 'cat' }, '"a"', never),
  ])
    await assert.rejects(call, { name: 'S3Failure', verdict: 'no_credentials' })
  assert.deepEqual(requests, [])
})

test('a server without TLS at an https endpoint is said to be one', async (t) => {
  const endpoint = (await serve(t, (_request, answer) => answer.end())).replace('http:', 'https:')
  const bucket = opened(t, { bucket: 'my-bucket', region: 'us-east-1', forcePathStyle: true, endpoint, ...KEYS })
  for (const call of [
    () => bucket.look({ key: 'cat' }, undefined, never),
    () => bucket.open({ key: 'cat' }, '"a"', never),
  ])
    await assert.rejects(call, { name: 'S3Failure', verdict: 'no_tls' })
})

test('over TLS the certificate is that of the name, and the requests reach the server', async (t) => {
  const { cert, key } = await makeCertificate({ names: ['DNS:store.example'] })
  const requests: string[] = []
  const server = createTlsServer({ cert, key }, ({ url = '', headers: { host } }, answer) => {
    requests.push(`${host} ${url}`)
    answer.end('a cat')
  })
  const { port } = new URL(await listen(t, server))
  const ca = { ca: cert, lookup: loopback } as const
  const agents = { http: new HttpAgent(), https: new HttpsAgent(ca) }
  t.after(() => agents.https.destroy())
  const send = (hostname: string) => {
    const place = { method: 'GET', protocol: 'https:', hostname, port: Number(port), path: '/a%20b' } as const
    const request = { ...place, query: { versionId: 'x y+z' }, headers: { host: `${hostname}:${port}` } }
    return exchange(request, { agents, connectTimeoutMs: 5000 }, never)
  }
  assert.equal(await text(await send('store.example')), 'a cat')
  await assert.rejects(send('other.example'), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
  assert.deepEqual(requests, [`store.example:${port} /a%20b?versionId=x%20y%2Bz`])
})

/** Every name is that of this machine. */
const loopback: LookupFunction = (_name, { all = false }, done) => {
  if (all) done(null, [{ address: '127.0.0.1', family: 4 }])
  else done(null, '127.0.0.1', 4)
}

test('an endless error is given up, and its connection with it', async (t) => {
  const gone = Promise.withResolvers<void>()
  const endpoint = await serve(t, (_request, answer) => {
    answer.once('close', gone.resolve)
    answer.writeHead(403)
    const write = (): void => {
      while (answer.write('<Error>'.repeat(1000)));
      answer.once('drain', write)
    }
    write()
  })
  const bucket = opened(t, { bucket: 'my-bucket', region: 'us-east-1', forcePathStyle: true, endpoint, ...KEYS })
  await assert.rejects(bucket.open({ key: 'cat' }, '"a"', never), REFUSED)
  await gone.promise
})

test('requests to a directory bucket are left to the SDK, which makes a session first', async (t) => {
  const requests: string[] = []
  const endpoint = await serve(t, ({ method, url }, answer) => {
    requests.push(`${method} ${url}`)
    answer.writeHead(403).end()
  })
  const bucket = 'photos--use1-az4--x-s3'
  const reader = opened(t, { bucket, region: 'us-east-1', forcePathStyle: true, endpoint, ...KEYS })
  await assert.rejects(reader.open({ key: 'cat' }, '"a"', never), REFUSED)
  assert.match(requests[0] ?? '', /^GET \/photos--use1-az4--x-s3\/*\?session/)
})

const KEYS = { credentials: { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'secret' } } as const

async function bucketWithCat() {
  const settings = await newBucket()
  const store = createS3Store(settings)
  const bytes = Buffer.from('a cat')
  const md5 = createHash('md5').update(bytes).digest('hex')
  await store.put('cat', { bytes }, { contentType: 'image/jpeg', sizeBytes: bytes.length, md5 }, never)
  store.close()
  return { settings, etag: `"${md5}"` }
}

function opened(t: TestContext, settings: S3BucketSettings): Bucket {
  const bucket = createS3Bucket(settings)
  t.after(bucket.close)
  return bucket
}

/** By HEAD and GET. */
async function read(bucket: Bucket, etag: string): Promise<string> {
  const version = await bucket.look({ key: 'cat' }, undefined, never)
  assert.ok(typeof version === 'object')
  assert.equal(version.etag, etag)
  const object = await bucket.open({ key: 'cat' }, etag, never)
  assert.ok(object)
  return text(object.body)
}

/** @returns the URL of a server with these answers. */
function serve(t: TestContext, listener: RequestListener): Promise<string> {
  return listen(t, createServer(listener))
}

async function listen(t: TestContext, server: Server): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<void>()
  server.listen(0, '127.0.0.1', resolve)
  await promise
  t.after(async () => {
    server.closeAllConnections()
    const closed = Promise.withResolvers<void>()
    server.close(() => closed.resolve())
    await closed.promise
  })
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  return `http://127.0.0.1:${address.port}`
}

function setEnvironment(t: TestContext, wanted: Readonly<Record<string, string | undefined>>): void {
  const set = (values: Readonly<Record<string, string | undefined>>): void => {
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  }
  const before = Object.fromEntries(Object.keys(wanted).map((name) => [name, process.env[name]]))
  t.after(() => set(before))
  set(wanted)
}
