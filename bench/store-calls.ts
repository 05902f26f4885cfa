import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { GetObjectCommand, HeadObjectCommand } from '@aws-sdk/client-s3'
import pLimit from 'p-limit'
import { Pool } from 'undici'
import { S3_LIMITS } from '../src/adapters/s3/s3-calls.ts'
import { createS3Connections } from '../src/adapters/s3/s3-client.ts'
import { exchange } from '../src/adapters/s3/s3-exchange.ts'
import { createS3Objects } from '../src/adapters/s3/s3-objects.ts'
import { createSigner } from '../src/adapters/s3/s3-request.ts'
import { createS3Store } from '../src/adapters/s3/s3-store.ts'
import { inScope, type Scope } from '../tools/processes/scope.ts'
import { newBucket } from '../tools/s3/s3-bucket.ts'
import { type BenchOptions, type BenchReport, type Figure, measureInTurn, median } from './measure.ts'

const KEY = 'mezzanines/00/00/photograph'
/** Of a mezzanine of 768 px, roughly. */
const OBJECT_BYTES = 50_000
const CLIENTS = 8
const never = new AbortController().signal

const METHODS = ['GET', 'HEAD'] as const
const SUBJECTS = ['SDK', 'signed', 'store', 'node:http', 'undici'] as const
type Method = (typeof METHODS)[number]
type Subject = (typeof SUBJECTS)[number]

/** Makes one call. @returns bytes of the body. */
type Call = () => Promise<number>

/**
 * CPU of this process for a call to the S3 server of the tests: by the SDK; by a request that is signed here; the same
 * with the limits of the adapter, as the node calls it; and bare HTTP with a URL that was signed before.
 */
export async function benchStoreCalls({ smoke }: BenchOptions): Promise<BenchReport> {
  return await inScope(async (scope) => {
    const calls = await makeCalls(scope)
    const names = METHODS.flatMap((method) => SUBJECTS.map((subject) => `${method} ${subject}` as const))
    const [count, rounds] = smoke ? [20, 1] : [1000, 5]
    for (const name of names) await cpuMicroseconds(calls[name], smoke ? 1 : 300)
    const measured = await measureInTurn(names, rounds, (name) => cpuMicroseconds(calls[name], count))
    const figures = METHODS.flatMap((method) =>
      figuresOf(method, (subject) => measured.get(`${method} ${subject}`) ?? []),
    )
    return { figures, raw: Object.fromEntries(measured) }
  })
}

async function makeCalls(scope: Scope): Promise<Readonly<Record<`${Method} ${Subject}`, Call>>> {
  const settings = await newBucket()
  const { bucket, endpoint, region } = settings
  const store = createS3Store(settings)
  scope.after(store.close)
  const bytes = randomBytes(OBJECT_BYTES)
  const md5 = createHash('md5').update(bytes).digest('hex')
  await store.put(KEY, { bytes }, { contentType: 'image/webp', sizeBytes: OBJECT_BYTES, md5 }, never)
  const connections = createS3Connections(settings, S3_LIMITS)
  scope.after(connections.close)
  const { client, agents } = connections
  const { connectTimeoutMs } = S3_LIMITS
  const objects = createS3Objects(connections, { ...settings, connectTimeoutMs })
  const name = { Bucket: bucket, Key: KEY } as const
  const { hostname, host, port, origin } = new URL(endpoint)
  const presigned = (method: Method) =>
    createSigner(client, region).presign({
      method,
      protocol: 'http:',
      hostname,
      port: Number(port),
      path: `/${bucket}/${KEY}`,
      headers: { host, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' },
    })
  const [forGet, forHead] = [await presigned('GET'), await presigned('HEAD')]
  const pool = new Pool(origin, { connections: CLIENTS })
  scope.after(() => pool.destroy())
  const byUndici = async (method: Method, { path, query = {} }: typeof forGet): Promise<number> => {
    const parameters = Object.fromEntries(Object.entries(query).map(([key, value]) => [key, String(value)]))
    const { statusCode, body } = await pool.request({
      method,
      // By default undici closes the connection after a HEAD.
      reset: false,
      path: `${path}?${new URLSearchParams(parameters).toString()}`,
    })
    assert.equal(statusCode, 200)
    return await lengthOf(body)
  }
  const byHttp = async (request: typeof forGet): Promise<number> => {
    const response = await exchange(request, { agents, connectTimeoutMs }, never)
    assert.equal(response.statusCode, 200)
    return await lengthOf(response)
  }
  return {
    'GET SDK': async () => {
      const { Body } = await client.send(new GetObjectCommand(name))
      assert.ok(Body instanceof Readable)
      return await lengthOf(Body)
    },
    'GET signed': async () => {
      const { body } = await objects.get({ key: KEY }, undefined, never)
      assert.ok(body)
      return await lengthOf(body)
    },
    'GET store': async () => {
      const opened = await store.open(KEY, never)
      assert.ok(opened)
      return await lengthOf(opened.body)
    },
    'GET node:http': () => byHttp(forGet),
    'GET undici': () => byUndici('GET', forGet),
    'HEAD SDK': async () => bodiless((await client.send(new HeadObjectCommand(name))).ContentLength),
    'HEAD signed': async () => bodiless((await objects.head({ key: KEY }, undefined, never)).sizeBytes),
    'HEAD store': async () => bodiless((await store.stat(KEY, never))?.sizeBytes),
    'HEAD node:http': () => byHttp(forHead),
    'HEAD undici': () => byUndici('HEAD', forHead),
  }
}

/** The same way to read for all, which costs the least. */
function lengthOf(body: Readable): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  let length = 0
  body.on('data', (chunk: Buffer) => {
    length += chunk.length
  })
  body.once('end', () => resolve(length))
  body.once('error', reject)
  return promise
}

function bodiless(sizeBytes: number | undefined): 0 {
  assert.equal(sizeBytes, OBJECT_BYTES)
  return 0
}

/** @returns CPU for a call, all threads of this process included. */
async function cpuMicroseconds(call: Call, count: number): Promise<number> {
  const before = process.cpuUsage()
  const sizes = await pLimit(CLIENTS).map(Array.from({ length: count }), call)
  const { user, system } = process.cpuUsage(before)
  assert.ok(sizes.every((size) => size === 0 || size === OBJECT_BYTES))
  return (user + system) / count
}

function figuresOf(method: Method, measured: (subject: Subject) => readonly number[]): readonly Figure[] {
  const milliseconds = (subject: Subject) => median(measured(subject)) / 1000
  const floor = milliseconds('undici')
  return [
    { name: `${method} by the store's adapter, CPU`, value: milliseconds('store'), unit: 'ms', wanted: '≤ 0.6' },
    { name: '  signed, without limits and retries', value: milliseconds('signed'), unit: 'ms' },
    { name: '  by the SDK, without limits and retries', value: milliseconds('SDK'), unit: 'ms' },
    { name: '  bare node:http', value: milliseconds('node:http'), unit: 'ms' },
    { name: '  bare undici', value: floor, unit: 'ms' },
    { name: "  the store's adapter / bare undici", value: milliseconds('store') / floor },
    { name: '  SDK / bare undici', value: milliseconds('SDK') / floor },
  ]
}
