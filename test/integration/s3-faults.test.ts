import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readlink, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createS3Store, type S3StoreSettings } from '../../src/adapters/s3/s3-store.ts'
import { UnavailableError } from '../../src/errors.ts'
import type { ObjectStore, PutOptions } from '../../src/service/ports/store.ts'
import { newBucket } from '../../tools/s3/s3-bucket.ts'
import { type Fault, type FaultProxy, startFaultProxy } from '../../tools/servers/fault-proxy.ts'

const never = new AbortController().signal
const KEY = 'originals/3f/2a/3f2a'
const BYTES = randomBytes(300_000)

const STEADY = [
  { kind: 'status', status: 500 },
  { kind: 'status', status: 503, code: 'SlowDown' },
] as const satisfies readonly Fault[]

const ERROR_ANSWERS: readonly Fault[] = [
  { kind: 'status', status: 500 },
  { kind: 'status', status: 502, code: 'BadGateway' },
  { kind: 'status', status: 503, code: 'SlowDown' },
]

const BROKEN_BODIES: readonly Fault[] = [
  { kind: 'truncate', afterBytes: 100_000 },
  { kind: 'truncate', afterBytes: 0 },
  { kind: 'stall', afterBytes: 100_000 },
]

const STRANGERS: readonly Fault[] = [
  { kind: 'html' },
  { kind: 'redirect' },
  { kind: 'status', status: 404, code: 'NotFound' },
  { kind: 'status', status: 404, code: 'NoSuchBucket' },
  { kind: 'status', status: 403, code: 'AccessDenied' },
]

const OUTAGES: readonly Fault[] = [
  { kind: 'refuse' },
  { kind: 'silent' },
  { kind: 'status', status: 503, code: 'SlowDown' },
]

// Most of them wait for a deadline: four at a time take a quarter of the time.
describe('an S3 store with faults', { concurrency: 4 }, () => {
  test('a store that refused the connection is given up within a second', async (t) => {
    const { store, proxy } = await faultyStore(t)
    await proxy.setFault({ kind: 'refuse' })
    for (const [name, call] of callsOf(store)) {
      assert.ok((await failsIn(call)) < 1000, name)
    }
  })

  test('a silent store is given up within five seconds, without another attempt', async (t) => {
    const { store, proxy } = await faultyStore(t)
    await proxy.setFault({ kind: 'silent' })
    proxy.requests.length = 0
    const calls = callsOf(store)
    for (const lasted of await Promise.all(calls.map(([, call]) => failsIn(call))))
      assert.ok(lasted < 5000, `${lasted} ms`)
    assert.equal(proxy.requests.length, calls.length)
  })

  test('a file that a silent store does not take is given up within five seconds, and its stream is closed', async (t) => {
    const { store, proxy } = await faultyStore(t)
    const path = join(await temporaryFolder(t), 'large')
    const large = randomBytes(32 * 1024 * 1024)
    await writeFile(path, large)
    await proxy.setFault({ kind: 'silent' })
    assert.ok((await failsIn(() => store.put('originals/aa/bb/aabb', { path }, optionsFor(large), never))) < 5000)
    for (const descriptor of await readdir('/proc/self/fd')) {
      assert.notEqual(await readlink(`/proc/self/fd/${descriptor}`).catch(() => 'closed meanwhile'), path)
    }
  })

  test('with a silent store no more than the agreed calls are made, all end within five seconds, then they fail at once', async (t) => {
    const { store, proxy } = await faultyStore(t, { maxCalls: 8, maxWaitingCalls: 16 })
    await proxy.setFault({ kind: 'silent' })
    proxy.requests.length = 0
    const lasted = await Promise.all(Array.from({ length: 40 }, () => failsIn(() => store.open(KEY, never))))
    assert.ok(Math.max(...lasted) < 5000, `${Math.max(...lasted)} ms`)
    assert.equal(lasted.filter((ms) => ms < 780).length, 40 - 8 - 16)
    // A probe a second is let through besides.
    assert.ok(proxy.requests.length <= 8 + 2, `${proxy.requests.length} requests`)
    assert.ok(proxy.openConnections() <= 8 + 2)
    const quick = await Promise.all(Array.from({ length: 10 }, () => failsIn(() => store.open(KEY, never))))
    assert.ok(quick.filter((ms) => ms < 1000).length >= 9, String(quick))
  })

  test('a store that answers after two seconds is waited for', async (t) => {
    const { store, proxy } = await faultyStore(t)
    await proxy.setFault({ kind: 'latency', ms: 2000 })
    assert.deepEqual(await read(store), BYTES)
  })

  test('a body that comes too slowly ends at the deadline of the whole call', async (t) => {
    const { store, proxy } = await faultyStore(t, { totalTimeoutMs: 2000 })
    await proxy.setFault({ kind: 'throttle', bytesPerSecond: 10_000 })
    const lasted = await failsIn(() => read(store))
    assert.ok(lasted > 1900 && lasted < 3000, `${lasted} ms`)
  })

  test('slow bodies never hold more sockets than the agreed calls', async (t) => {
    const { store, proxy } = await faultyStore(t, { maxCalls: 4, waitTimeoutMs: 10_000 })
    await proxy.setFault({ kind: 'throttle', bytesPerSecond: 1_000_000 })
    let most = 0
    const watch = setInterval(() => {
      most = Math.max(most, proxy.openConnections())
    }, 10)
    t.after(() => clearInterval(watch))
    const bodies = await Promise.all(Array.from({ length: 20 }, () => read(store)))
    assert.ok(bodies.every((body) => body.equals(BYTES)))
    assert.ok(most <= 4, `${most} sockets`)
  })

  for (const fault of ERROR_ANSWERS) {
    test(`an answer of ${fault.kind === 'status' && fault.status} for good is asked for three times, then refused at once`, async (t) => {
      const { store, proxy } = await faultyStore(t)
      await proxy.setFault(fault)
      for (const [name, call] of callsOf(store)) {
        proxy.requests.length = 0
        assert.ok((await failsIn(call)) < 2000, name)
        assert.ok(proxy.requests.length <= 3, `${name}: ${proxy.requests.length} requests`)
      }
      proxy.requests.length = 0
      await Promise.all(Array.from({ length: 50 }, () => failsIn(() => store.open(KEY, never))))
      assert.ok(proxy.requests.length <= 3, `${proxy.requests.length} requests through the breaker`)
    })

    test(`one answer of ${fault.kind === 'status' && fault.status} goes unnoticed`, async (t) => {
      const { store, proxy } = await faultyStore(t)
      for (const [, call] of callsOf(store)) {
        await proxy.setFault({ ...fault, matching: { first: 1 } })
        await call()
      }
      assert.deepEqual(await read(store), BYTES)
    })
  }

  for (const fault of STEADY) {
    test(`a store that answers ${fault.status} to everything gets no more than 1.2 times the calls, and is right within five seconds of the end`, async (t) => {
      const { store, proxy } = await faultyStore(t)
      await proxy.setFault(fault)
      proxy.requests.length = 0
      for (let round = 0; round < 10; round += 1) {
        await Promise.all(Array.from({ length: 20 }, () => failsIn(() => store.open(KEY, never))))
      }
      assert.ok(proxy.requests.length <= 240, `${proxy.requests.length} requests of 200 calls`)
      await proxy.setFault(undefined)
      const end = performance.now()
      const body = await readAtLast(store)
      assert.ok(performance.now() - end < 5000)
      assert.deepEqual(body, BYTES)
    })

    test(`a store that answers ${fault.status} to every other call gets no more than 1.2 times the calls`, async (t) => {
      const { store, proxy } = await faultyStore(t)
      await proxy.setFault({ ...fault, matching: { path: /never/ } })
      proxy.requests.length = 0
      for (let round = 0; round < 80; round += 1) {
        await Promise.all([read(store), failsIn(() => store.stat('originals/aa/bb/never', never))])
      }
      assert.ok(proxy.requests.length <= 192, `${proxy.requests.length} requests of 160 calls`)
    })
  }

  test('a store that cuts every body is asked again for few of them, and is then spared', async (t) => {
    const { store, proxy } = await faultyStore(t)
    await proxy.setFault({ kind: 'truncate', afterBytes: 1000 })
    let again = 0
    for (let round = 0; round < 5; round += 1) {
      const opened = await store.open(KEY, never)
      assert.ok(opened)
      await failsIn(() => buffer(opened.body))
      if (opened.takeRetry?.()) again += 1
    }
    assert.equal(again, 4, 'not after the fifth')
    proxy.requests.length = 0
    for (let round = 0; round < 20; round += 1) await failsIn(() => read(store))
    assert.ok(proxy.requests.length <= 1, `${proxy.requests.length} requests through the breaker`)
    await proxy.setFault(undefined)
    assert.deepEqual(await readAtLast(store), BYTES)
  })

  test('an upload that is answered before it was read leaves no socket behind', async (t) => {
    const { store, proxy } = await faultyStore(t)
    const path = join(await temporaryFolder(t), 'large')
    const large = randomBytes(8 * 1024 * 1024)
    await writeFile(path, large)
    await proxy.setFault({ kind: 'status', status: 503, code: 'SlowDown', matching: { first: 2 } })
    assert.equal(await store.put('originals/aa/bb/aabb', { path }, optionsFor(large), never), 'created')
    assert.deepEqual(await read(store, 'originals/aa/bb/aabb'), large)
    assert.ok(proxy.openConnections() <= 1)
  })

  for (const fault of BROKEN_BODIES) {
    test(`a body with ${fault.kind} after ${'afterBytes' in fault && fault.afterBytes} bytes fails, and the next is whole`, async (t) => {
      const { store, proxy } = await faultyStore(t)
      await proxy.setFault({ ...fault, matching: { first: 1 } })
      assert.ok((await failsIn(() => read(store))) < 5000)
      assert.deepEqual(await read(store), BYTES)
    })
  }

  test('a body whose reader takes its time is not taken for a stalled one', async (t) => {
    const { store } = await faultyStore(t, { stallTimeoutMs: 200 })
    const opened = await store.open(KEY, never)
    assert.ok(opened)
    const pause = Promise.withResolvers<void>()
    setTimeout(() => pause.resolve(), 1000)
    await pause.promise
    assert.deepEqual(await buffer(opened.body), BYTES)
  })

  test('a bit flipped on the way passes the adapter: only the name of an original can tell', async (t) => {
    const { store, proxy } = await faultyStore(t)
    await proxy.setFault({ kind: 'flip', atByte: 1000 })
    const body = await read(store)
    assert.equal(body.length, BYTES.length)
    assert.notDeepEqual(body, BYTES)
  })

  for (const source of ['bytes', 'path'] as const) {
    test(`a write from ${source} whose answer is lost was a creation all the same`, async (t) => {
      const { store, proxy } = await faultyStore(t)
      const path = join(await temporaryFolder(t), 'file')
      await writeFile(path, BYTES)
      proxy.requests.length = 0
      await proxy.setFault({ kind: 'lose-answer', matching: { method: /^PUT$/, first: 1 } })
      const key = 'originals/aa/bb/aabb'
      const from = source === 'bytes' ? { bytes: BYTES } : { path }
      assert.equal(await store.put(key, from, optionsFor(BYTES), never), 'created')
      assert.equal(proxy.requests.filter((request) => request.startsWith('PUT ')).length, 2)
      assert.equal(await store.put(key, from, optionsFor(BYTES), never), 'exists')
      assert.deepEqual(await read(store, key), BYTES)
    })
  }

  test('after a lost answer the bytes of somebody else are not taken for ours', async (t) => {
    const { store, proxy } = await faultyStore(t)
    const other = Buffer.from('other bytes')
    await proxy.setFault({ kind: 'status', status: 500, matching: { method: /^PUT$/, first: 1 } })
    assert.equal(await store.put(KEY, { bytes: other }, optionsFor(other), never), 'exists')
  })

  test('a full store is said to be full, and goes on to be read', async (t) => {
    const { store, proxy } = await faultyStore(t)
    await proxy.setFault({ kind: 'status', status: 507, code: 'XMinioStorageFull', matching: { method: /^PUT$/ } })
    proxy.requests.length = 0
    for (let index = 0; index < 10; index += 1) {
      const put = store.put('originals/aa/bb/aabb', { bytes: BYTES }, optionsFor(BYTES), never)
      await assert.rejects(put, { name: 'S3Failure', code: 'store_full', message: 'The object store is full' })
    }
    assert.equal(proxy.requests.length, 10)
    assert.deepEqual(await read(store), BYTES)
  })

  test('clocks that differ are corrected once; for good they count as refused credentials', async (t) => {
    const { store, proxy } = await faultyStore(t)
    const skewed = { kind: 'status', status: 403, code: 'RequestTimeTooSkewed' } as const
    await proxy.setFault({ ...skewed, matching: { first: 1 } })
    assert.deepEqual(await read(store), BYTES)
    await proxy.setFault(skewed)
    proxy.requests.length = 0
    await assert.rejects(read(store), { message: /^The object store rejects the credentials/ })
    assert.equal(proxy.requests.length, 2)
  })

  for (const fault of STRANGERS) {
    const name = fault.kind === 'status' ? `${fault.status} ${fault.code}` : fault.kind
    test(`an answer of ${name} is an outage for every call, never an absent key, an empty list or a success`, async (t) => {
      const { store, proxy } = await faultyStore(t)
      await proxy.setFault(fault)
      for (const [call, run] of callsOf(store)) {
        proxy.requests.length = 0
        assert.ok((await failsIn(run)) < 1000, call)
        assert.ok(proxy.requests.length <= 2, `${call}: ${proxy.requests.length} requests`)
      }
      await proxy.setFault(undefined)
      assert.deepEqual(await read(store), BYTES)
    })
  }

  for (const fault of OUTAGES) {
    test(`within five seconds of the end of ${fault.kind} every call is right again`, async (t) => {
      const { store, proxy } = await faultyStore(t)
      await proxy.setFault(fault)
      await Promise.all(Array.from({ length: 20 }, () => failsIn(() => store.open(KEY, never))))
      await proxy.setFault(undefined)
      const end = performance.now()
      assert.deepEqual(await readAtLast(store), BYTES)
      const lasted = performance.now() - end
      assert.ok(lasted < 2000, `${lasted} ms`)
      for (const [, call] of callsOf(store)) await call()
    })
  }

  test('a call whose client has gone ends at once, with its reason, and frees its socket', async (t) => {
    const { store, proxy } = await faultyStore(t, { maxCalls: 2, maxWaitingCalls: 10 })
    await proxy.setFault({ kind: 'silent' })
    for (const [name, , abortable] of callsOf(store)) {
      const client = new AbortController()
      const reason = new Error('the client has gone')
      const running = [abortable, abortable, abortable].map((call) => call(client.signal))
      setImmediate(() => client.abort(reason))
      for (const result of await Promise.allSettled(running)) {
        assert.ok(result.status === 'rejected' && result.reason === reason, name)
      }
    }
    await proxy.setFault(undefined)
    assert.deepEqual(await read(store), BYTES)
    assert.ok(proxy.openConnections() <= 2)
  })

  test('calls one after another use one connection', async (t) => {
    const { store, proxy } = await faultyStore(t)
    for (let round = 0; round < 3; round += 1) for (const [, call] of callsOf(store)) await call()
    assert.equal(proxy.openConnections(), 1)
  })

  test('calls are counted by outcome, whatever came of their attempts', async (t) => {
    const { store, proxy } = await faultyStore(t, { totalTimeoutMs: 500 })
    assert.ok(store.calls)
    const { calls } = store
    const counted = () => Object.fromEntries(Object.entries(calls.outcomes).filter(([, count]) => count > 0))
    assert.deepEqual(counted(), { ok: 1 })
    await read(store)
    assert.equal(await store.open('originals/aa/bb/never', never), undefined)
    assert.equal(await store.put(KEY, { bytes: BYTES }, optionsFor(BYTES), never), 'exists')
    assert.deepEqual(counted(), { ok: 4 })

    await proxy.setFault({ kind: 'status', status: 503, code: 'SlowDown' })
    await failsIn(() => store.check(never))
    await proxy.setFault({ kind: 'status', status: 403, code: 'AccessDenied' })
    await failsIn(() => store.check(never))
    await proxy.setFault({ kind: 'html' })
    await failsIn(() => store.open(KEY, never))
    await proxy.setFault({ kind: 'truncate', afterBytes: 100_000 })
    await assert.rejects(read(store))
    await proxy.setFault({ kind: 'silent' })
    await failsIn(() => store.check(never))
    const leaving = new AbortController()
    const left = store.check(leaving.signal)
    leaving.abort(new Error('left'))
    await assert.rejects(left, /left/)
    assert.deepEqual(counted(), { ok: 4, busy: 1, denied: 1, invalid: 2, timeout: 1, canceled: 1 })

    await proxy.setFault({ kind: 'refuse' })
    const before = calls.outcomes.unreachable
    while (!calls.isBreakerOpen) await failsIn(() => store.check(never))
    assert.ok(calls.outcomes.unreachable > before)
    await failsIn(() => store.check(never))
    assert.ok(calls.outcomes.not_sent > 0)
    await proxy.setFault(undefined)
    await readAtLast(store)
    assert.ok(!calls.isBreakerOpen)
  })

  test('a file that is gone before it is stored is no outage of the store', async (t) => {
    const { store, proxy } = await faultyStore(t)
    const missing = join(await temporaryFolder(t), 'missing')
    const put = (): Promise<unknown> => store.put('originals/aa/bb/aabb', { path: missing }, optionsFor(BYTES), never)
    for (let index = 0; index < 10; index += 1) assert.ok((await failsIn(put)) < 1000)
    assert.deepEqual(await read(store), BYTES)
    assert.ok(proxy.openConnections() <= 2)
  })
})

interface FaultyStore {
  readonly store: ObjectStore
  readonly proxy: FaultProxy
}

/** A store with `BYTES` at `KEY`, seen through a proxy without a fault as yet. */
async function faultyStore(t: TestContext, limits: S3StoreSettings['limits'] = {}): Promise<FaultyStore> {
  const settings = await newBucket()
  const proxy = await startFaultProxy({ target: settings.endpoint })
  const store = createS3Store({ ...settings, endpoint: proxy.endpoint, limits })
  t.after(async () => {
    store.close()
    await proxy.stop()
  })
  assert.equal(await store.put(KEY, { bytes: BYTES }, optionsFor(BYTES), never), 'created')
  return { store, proxy }
}

type Abortable = (signal: AbortSignal) => Promise<unknown>

/** Every call that the port has, each right with a working store. */
function callsOf(store: ObjectStore): (readonly [name: string, call: () => Promise<unknown>, abortable: Abortable])[] {
  const list = async (signal: AbortSignal): Promise<void> => {
    const keys: string[] = []
    for await (const key of store.list('originals/3f/', '', signal)) keys.push(key)
    assert.deepEqual(keys, [KEY])
  }
  const open = async (signal: AbortSignal): Promise<void> => {
    const opened = await store.open(KEY, signal)
    assert.ok(opened)
    assert.deepEqual(await buffer(opened.body), BYTES)
  }
  const calls = {
    open,
    stat: async (signal: AbortSignal) => assert.equal((await store.stat(KEY, signal))?.sizeBytes, BYTES.length),
    put: (signal: AbortSignal) =>
      store.put('originals/aa/bb/again', { bytes: BYTES }, { ...optionsFor(BYTES), overwrite: true }, signal),
    remove: (signal: AbortSignal) => store.remove('originals/aa/bb/never', signal),
    check: (signal: AbortSignal) => store.check(signal),
    list,
  }
  return Object.entries(calls).map(([name, call]) => [name, () => call(never), call] as const)
}

/** @returns Milliseconds until the call fails as an outage; anything else fails the test. */
async function failsIn(call: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await assert.rejects(call(), (error) => {
    assert.ok(error instanceof UnavailableError, String(error))
    assert.equal(error.code, 'store_unavailable')
    assert.ok(!error.message.includes(KEY) && !error.message.includes('test-'), error.message)
    return true
  })
  return performance.now() - start
}

async function read(store: ObjectStore, key = KEY): Promise<Buffer> {
  const opened = await store.open(key, never)
  assert.ok(opened)
  return buffer(opened.body)
}

/** Asks until there is an answer, whatever it is. */
async function readAtLast(store: ObjectStore): Promise<Buffer> {
  for (;;) {
    const body = await read(store).catch(() => undefined)
    if (body !== undefined) return body
    await delay(10)
  }
}

function optionsFor(bytes: Buffer): PutOptions {
  return {
    contentType: 'application/octet-stream',
    sizeBytes: bytes.length,
    md5: createHash('md5').update(bytes).digest('hex'),
  }
}

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-faults-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}
