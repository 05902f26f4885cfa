import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { createS3Bucket } from '../../src/adapters/s3/s3-reader.ts'
import { createS3Store } from '../../src/adapters/s3/s3-store.ts'
import { UnavailableError } from '../../src/errors.ts'
import type { Bucket } from '../../src/service/ports/bucket.ts'
import { newBucket } from '../../tools/s3/s3-bucket.ts'
import { type Fault, type FaultProxy, startFaultProxy } from '../../tools/servers/fault-proxy.ts'

// What is the same as for the store is tested there: both make their calls by the same code.

const never = new AbortController().signal
const KEY = 'photos/cat.jpg'
const BYTES = randomBytes(300_000)
const OTHER_TAG = '"0123456789abcdef0123456789abcdef"'

const OUTAGES: readonly Fault[] = [
  { kind: 'silent' },
  { kind: 'status', status: 503, code: 'SlowDown' },
  { kind: 'html' },
  { kind: 'redirect' },
  { kind: 'status', status: 400, code: 'BadRequest' },
  { kind: 'status', status: 403, code: 'AccessDenied' },
  { kind: 'status', status: 404, code: 'NotFound' },
  { kind: 'status', status: 404, code: 'NoSuchBucket' },
  { kind: 'status', status: 405, code: 'MethodNotAllowed' },
]
test('an outage is one for every call, never an absent or an unchanged object, and the next call is right', async (t) => {
  const { proxy, etag, calls } = await faultyBucket(t)
  for (const fault of OUTAGES) {
    await t.test(fault.kind === 'status' ? `${fault.status} ${fault.code}` : fault.kind, async () => {
      for (const [call, run] of Object.entries(calls)) {
        await proxy.setFault(fault)
        proxy.requests.length = 0
        await assert.rejects(run(etag), isOutage, call)
        assert.ok(proxy.requests.length <= 3, `${call}: ${proxy.requests.length} requests`)
        await proxy.setFault(undefined)
        await run(etag)
      }
    })
  }
})

test('an "unchanged" that nobody asked for is an outage', async (t) => {
  const { proxy, etag, calls } = await faultyBucket(t)
  await proxy.setFault({ kind: 'status', status: 304 })
  await assert.rejects(calls.look(), isOutage)
  await assert.rejects(calls.open(etag), isOutage)
  await assert.rejects(calls.check(), isOutage)
})

test('clocks that differ are corrected once, also where the answer has no body to say so', async (t) => {
  const { proxy, etag, calls } = await faultyBucket(t)
  const skewed = { kind: 'status', status: 403, code: 'RequestTimeTooSkewed' } as const
  for (const [name, run] of Object.entries(calls)) {
    if (!name.startsWith('look')) await proxy.setFault({ ...skewed, matching: { first: 1 } })
    // The HEAD, and the GET that asks for the reason.
    else await proxy.setFault({ ...skewed, matching: { first: 2 } })
    await run(etag)
  }
  await proxy.setFault(skewed)
  await assert.rejects(calls.look(), { message: /^The object store rejects the credentials/ })
})

const BROKEN_BODIES: readonly Fault[] = [
  { kind: 'truncate', afterBytes: 100_000 },
  { kind: 'truncate', afterBytes: 0 },
  { kind: 'stall', afterBytes: 100_000 },
]
for (const fault of BROKEN_BODIES) {
  test(`a body with ${fault.kind} after ${'afterBytes' in fault && fault.afterBytes} bytes fails, and the next is whole`, async (t) => {
    const { proxy, etag, calls } = await faultyBucket(t)
    await proxy.setFault({ ...fault, matching: { first: 1 } })
    await assert.rejects(calls.open(etag), isOutage)
    await calls.open(etag)
    await proxy.setFault({ ...fault, matching: { first: 1 } })
    await assert.rejects(calls.read(), isOutage)
    await calls.read()
  })
}

interface FaultyBucket {
  readonly proxy: FaultProxy
  /** Of the object at `KEY`. */
  readonly etag: string
  /** Every call that the port has, each right with a working server. */
  readonly calls: {
    look(): Promise<void>
    lookAgain(etag: string): Promise<void>
    lookForOther(): Promise<void>
    open(etag: string): Promise<void>
    openOther(): Promise<void>
    read(): Promise<void>
    check(): Promise<void>
  }
}

/** A bucket with `BYTES` at `KEY`, seen through a proxy without a fault as yet. */
async function faultyBucket(t: TestContext): Promise<FaultyBucket> {
  const settings = await newBucket()
  const store = createS3Store(settings)
  const md5 = createHash('md5').update(BYTES).digest('hex')
  await store.put(KEY, { bytes: BYTES }, { contentType: 'image/jpeg', sizeBytes: BYTES.length, md5 }, never)
  store.close()
  const proxy = await startFaultProxy({ target: settings.endpoint })
  const limits = { firstByteTimeoutMs: 400, stallTimeoutMs: 300 } as const
  const bucket: Bucket = createS3Bucket({ ...settings, endpoint: proxy.endpoint, limits })
  t.after(async () => {
    bucket.close()
    await proxy.stop()
  })
  const look = async (): Promise<string> => {
    const version = await bucket.look({ key: KEY }, undefined, never)
    assert.ok(typeof version === 'object')
    assert.equal(version.sizeBytes, BYTES.length)
    return version.etag
  }
  const etag = await look()
  return {
    proxy,
    etag,
    calls: {
      look: async () => void (await look()),
      lookAgain: async (known) => assert.equal(await bucket.look({ key: KEY }, known, never), 'unchanged'),
      lookForOther: async () => {
        const version = await bucket.look({ key: KEY }, OTHER_TAG, never)
        assert.equal(typeof version === 'object' && version.etag, etag)
      },
      open: async (known) => {
        const opened = await bucket.open({ key: KEY }, known, never)
        assert.ok(opened)
        assert.deepEqual(await buffer(opened.body), BYTES)
      },
      openOther: async () => assert.equal(await bucket.open({ key: KEY }, OTHER_TAG, never), undefined),
      read: async () => {
        const found = await bucket.read({ key: KEY }, never)
        assert.ok(found)
        assert.equal(found.version.etag, etag)
        assert.deepEqual(await buffer(found.object.body), BYTES)
      },
      check: () => bucket.check(never),
    },
  }
}

function isOutage(error: unknown): boolean {
  return error instanceof UnavailableError && error.code === 'store_unavailable' && !error.message.includes(KEY)
}
