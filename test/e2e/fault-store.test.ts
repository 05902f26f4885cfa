import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { cachedAnswers } from '../../tools/chaos/staged-pictures.ts'
import { assertPicture, noisePicture } from '../../tools/pictures/picture.ts'
import { ask, assertUnavailable, cachedFiles, logged, post, recoversIn } from '../../tools/requests/ask.ts'
import { jsonFields } from '../../tools/requests/raw-request.ts'
import { newBucket } from '../../tools/s3/s3-bucket.ts'
import type { Darkroom } from '../../tools/servers/darkroom.ts'
import type { Fault } from '../../tools/servers/fault-proxy.ts'
import { AUTHORIZATION } from '../../tools/servers/site.ts'
import { assertRecovered, createFaultStages, setFaultStage, startS3Node } from '../support/fault-stage.ts'

const READS = { method: /^GET$/, path: /\/originals\// } as const

interface Outage {
  readonly fault: Fault
  /** What `/readyz` says. Two reasons: of the first calls, and once the store is given up for a while. */
  readonly reason: RegExp
  /** For each answer, from the first request on. */
  readonly withinMs: number
}

const UNREACHED = /is unreachable/
const OUTAGES: Readonly<Record<string, Outage>> = {
  'refused the connection': { fault: { kind: 'refuse' }, reason: UNREACHED, withinMs: 1000 },
  'never answers': {
    fault: { kind: 'silent' },
    reason: /did not respond in time|is unreachable/,
    withinMs: 5000,
  },
  'answers 500': {
    fault: { kind: 'status', status: 500 },
    reason: /is overloaded|is unreachable/,
    withinMs: 2000,
  },
  'answers 503 SlowDown': {
    fault: { kind: 'status', status: 503, code: 'SlowDown' },
    reason: /is overloaded|is unreachable/,
    withinMs: 2000,
  },
  'refuses our key': {
    fault: { kind: 'status', status: 403, code: 'InvalidAccessKeyId' },
    reason: /rejects the credentials/,
    withinMs: 1000,
  },
  'has lost the bucket': {
    fault: { kind: 'status', status: 404, code: 'NoSuchBucket' },
    reason: /bucket does not exist/,
    withinMs: 1000,
  },
  'is hidden by a page of HTML': { fault: { kind: 'html' }, reason: /unexpected response/, withinMs: 1000 },
  'is hidden by a redirect': { fault: { kind: 'redirect' }, reason: /unexpected response/, withinMs: 1000 },
}

describe('outages of the store', { concurrency: 3 }, () => {
  // An outage uses up the budget of retries, which damaged originals need.
  const outages = createFaultStages()
  const damages = createFaultStages()
  after(() => Promise.all([outages.close(), damages.close()]))

  for (const [name, { fault, reason, withinMs }] of Object.entries(OUTAGES)) {
    test(`while the store ${name}, what is cached is served and the rest is a clean 503, until it is back`, async (t) => {
      const stage = await outages.take(t)
      const { node, proxy, fresh, late, secrets } = stage
      const before = await cachedFiles(node.cacheDir)
      await proxy.setFault(fault)
      proxy.requests.length = 0
      const [uncached, negotiated, record, original, upload, ready, live, cached] = await Promise.all([
        ask(stage.freshUrl),
        ask(`${node.url}/image/${fresh.id}/40w`),
        ask(`${node.url}/images/${fresh.id}`),
        ask(`${node.url}/images/${fresh.id}/original`, { headers: AUTHORIZATION }),
        post(node.url, late.bytes),
        ask(`${node.url}/readyz`),
        ask(`${node.url}/healthz`),
        cachedAnswers(stage),
      ])
      for (const answer of [uncached, negotiated, record, original, upload]) {
        assertUnavailable(answer, /^store_unavailable$/, secrets)
        assert.ok(answer.ms < withinMs + 500, `${Math.round(answer.ms)} ms`)
      }
      assert.ok(cached < 500, `${cached} ms`)
      assert.equal(live.status, 200)
      assert.equal(ready.status, 503)
      assert.match(ready.body.toString(), reason)
      assert.equal(ready.headers.get('cache-control'), 'no-store')
      assert.equal(ready.headers.get('retry-after'), '1')
      for (const secret of secrets) assert.ok(!ready.body.toString().includes(secret))
      // The one original is asked for once for all, three times at most.
      const reads = proxy.requests.filter((request) => /^GET .*\/originals\//.test(request))
      assert.ok(reads.length <= 3, String(reads))
      assert.deepEqual(await cachedFiles(node.cacheDir), before)

      await proxy.setFault(undefined)
      await assertRecovered(t, stage)
    })
  }

  test('a hundred viewers of a silent store all hear so within five seconds, and viewers of cached pictures notice nothing', async (t) => {
    const stage = await setFaultStage(t)
    const { node, proxy, secrets } = stage
    await proxy.setFault({ kind: 'silent' })
    const ids = Array.from({ length: 100 }, (_, index) => String(index + 1).padStart(40, '0'))
    const asked = ids.map((id) => ask(`${node.url}/image/${id}/40w/x.jpg`))
    const flight = { landed: false }
    const answers = Promise.all(asked).finally(() => {
      flight.landed = true
    })
    const cached: number[] = []
    let connections = 0
    while (!flight.landed) {
      const hit = await ask(stage.knownUrl)
      assert.equal(hit.status, 200)
      cached.push(hit.ms)
      connections = Math.max(connections, proxy.openConnections())
    }
    for (const answer of await answers) {
      assertUnavailable(answer, /^(store_unavailable|overloaded)$/, secrets)
      assert.ok(answer.ms < 5500, `${answer.ms} ms`)
    }
    const p99 = cached.toSorted((a, b) => a - b)[Math.floor(cached.length * 0.99)] ?? 0
    t.diagnostic(`${cached.length} cached answers, p99 ${p99.toFixed(1)} ms, ${connections} connections to the store`)
    assert.ok(p99 < 100, `${p99} ms`)
    assert.ok(connections <= 64 + 2)
    await proxy.setFault(undefined)
    await assertRecovered(t, stage)
  })

  test('a store that answers 503 for good never gets more than 1.2 requests for each viewer, under load and after', async (t) => {
    const stage = await setFaultStage(t)
    const { node, proxy, freshUrl } = stage
    // The first half of the fault spares one path, so that successes keep the breaker closed.
    const faults = [{ path: /\/(?:originals|mezzanines)\// }, {}] as const
    for (const [half, matching] of faults.entries()) {
      await proxy.setFault({ kind: 'status', status: 503, code: 'SlowDown', matching })
      proxy.requests.length = 0
      const ids = Array.from({ length: 150 }, (_, index) => `${half}${index}`.padStart(40, '0'))
      for (const id of ids) assertUnavailable(await ask(`${node.url}/image/${id}/40w/x.jpg`), /^store_unavailable$/)
      const reads = proxy.requests.filter((request) => !/list-type|\/nodes\//.test(request))
      t.diagnostic(`${reads.length} requests of ${ids.length} viewers`)
      assert.ok(reads.length <= 1.2 * ids.length, `${reads.length} requests`)
    }
    await proxy.setFault(undefined)
    await recoversIn(
      () => ask(freshUrl),
      ({ status }) => status === 200,
    )
    await assertPicture((await ask(freshUrl)).body, { format: 'jpeg', width: 40 })
  })

  test('a store that takes two seconds for every answer is waited for', async (t) => {
    const stage = await damages.take(t)
    await stage.proxy.setFault({ kind: 'latency', ms: 2000 })
    const [uncached, cached] = await Promise.all([ask(stage.freshUrl), cachedAnswers(stage)])
    assert.equal(uncached.status, 200)
    await assertPicture(uncached.body, { format: 'jpeg', width: 40 })
    assert.ok(cached < 500)
  })

  test('an original that trickles is given up at the deadline of ten seconds', async (t) => {
    const stage = await damages.take(t)
    const before = await cachedFiles(stage.node.cacheDir)
    await stage.proxy.setFault({ kind: 'throttle', bytesPerSecond: 10_000, matching: READS })
    const uncached = await ask(stage.freshUrl)
    assertUnavailable(uncached, /^store_unavailable$/, stage.secrets)
    assert.ok(uncached.ms > 9000 && uncached.ms < 11_500, `${uncached.ms} ms`)
    assert.deepEqual(await cachedFiles(stage.node.cacheDir), before)
    await stage.proxy.setFault(undefined)
    await assertRecovered(t, stage)
  })

  const DAMAGES: Readonly<Record<string, { fault: Fault; attempts: number; withinMs: number }>> = {
    'are cut': { fault: { kind: 'truncate', afterBytes: 50_000 }, attempts: 2, withinMs: 2000 },
    stall: { fault: { kind: 'stall', afterBytes: 50_000 }, attempts: 2, withinMs: 8000 },
    'have a flipped bit': { fault: { kind: 'flip', atByte: 50_000 }, attempts: 2, withinMs: 2000 },
  }
  for (const [name, { fault, attempts, withinMs }] of Object.entries(DAMAGES)) {
    test(`originals that ${name} are asked for once more, and never shown or cached`, async (t) => {
      const stage = await damages.take(t)
      const { node, proxy, fresh } = stage
      const before = await cachedFiles(node.cacheDir)
      await proxy.setFault({ ...fault, matching: READS })
      proxy.requests.length = 0
      const [explicit, negotiated, cached] = await Promise.all([
        ask(stage.freshUrl),
        ask(`${node.url}/image/${fresh.id}/40w`),
        cachedAnswers(stage),
      ])
      for (const answer of [explicit, negotiated]) {
        assertUnavailable(answer, /^store_unavailable$/, stage.secrets)
        assert.ok(answer.ms < withinMs, `${answer.ms} ms`)
      }
      assert.ok(cached < 500)
      assert.equal(proxy.requests.filter((request) => /^GET .*\/originals\//.test(request)).length, attempts)
      assert.deepEqual(await cachedFiles(node.cacheDir), before)
      assert.equal((await ask(`${node.url}/readyz`)).status, 200)
      await proxy.setFault(undefined)
      await assertRecovered(t, stage)
    })

    test(`an original that comes wrong once (they ${name}) is shown all the same`, async (t) => {
      const stage = await damages.take(t)
      await stage.proxy.setFault({ ...fault, matching: { ...READS, first: 1 } })
      const uncached = await ask(stage.freshUrl)
      assert.equal(uncached.status, 200, uncached.body.subarray(0, 300).toString())
      await assertPicture(uncached.body, { format: 'jpeg', width: 40 })
    })
  }

  test('wrong bytes are logged with the id of the image', async (t) => {
    const { node, proxy, fresh, freshUrl } = await damages.take(t)
    await proxy.setFault({ kind: 'flip', atByte: 50_000, matching: READS })
    assert.equal((await ask(freshUrl)).status, 503)
    await logged(node, ({ level, msg }) => level === 'warn' && String(msg).includes(fresh.id))
  })

  for (const path of [/\/originals\//, /\/records\//]) {
    test(`an upload whose answer from ${path.source} is lost is acknowledged or refused, and the same when repeated`, async (t) => {
      const { node, proxy, late } = await damages.take(t)
      await proxy.setFault({ kind: 'lose-answer', matching: { method: /^PUT$/, path, first: 1 } })
      const first = await post(node.url, late.bytes)
      assert.equal(first.status, 201, first.body.toString())
      assert.equal(jsonFields(first.body)['id'], late.id)
      const second = await post(node.url, late.bytes)
      assert.equal(second.status, 200)
      assert.equal(jsonFields(second.body)['id'], late.id)
    })
  }

  test('an image that is nowhere is 404 for seconds, and is found as soon as it was uploaded', async (t) => {
    const { node, late } = await damages.take(t)
    const url = `${node.url}/image/${late.id}/40w/x.jpg`
    for (const missing of [await ask(url), await ask(`${node.url}/images/${late.id}`)]) {
      assert.equal(missing.status, 404)
      const [, seconds] = /^public, max-age=(\d+)$/.exec(missing.headers.get('cache-control') ?? '') ?? []
      assert.ok(Number(seconds) <= 60)
      assert.equal(missing.headers.get('x-content-type-options'), 'nosniff')
    }
    assert.equal((await post(node.url, late.bytes)).status, 201)
    const found = await ask(url)
    assert.equal(found.status, 200)
    await assertPicture(found.body, { format: 'jpeg', width: 40 })
  })

  test('a node with a wrong secret runs, is not ready and says why, and shows nothing', async (t) => {
    const { endpoint, bucket, credentials } = await newBucket()
    const { accessKeyId = '' } = credentials ?? {}
    const node = await startS3Node({ endpoint, bucket, accessKeyId, secretAccessKey: 'wrong-secret' })
    t.after(node.stop)
    await assertNotReady(node, /rejects the credentials/, [bucket, accessKeyId, 'wrong-secret'])
  })

  test('a node whose bucket is missing runs and is not ready, until the bucket is made', async (t) => {
    const { endpoint, region, credentials } = await newBucket()
    const bucket = `missing-${Date.now()}`
    const node = await startS3Node({ endpoint, bucket, accessKeyId: '', secretAccessKey: '', ...credentials })
    t.after(node.stop)
    await assertNotReady(node, /bucket does not exist/, [bucket])
    const client = new S3Client({ endpoint, region, forcePathStyle: true, ...(credentials && { credentials }) })
    t.after(() => client.destroy())
    await client.send(new CreateBucketCommand({ Bucket: bucket }))
    const { bytes } = await noisePicture(9)
    const ms = await recoversIn(
      () => post(node.url, bytes),
      ({ status }) => status === 201,
    )
    t.diagnostic(`takes uploads ${Math.round(ms)} ms after the bucket was made`)
    await recoversIn(
      () => ask(`${node.url}/readyz`),
      ({ status }) => status === 200,
    )
  })
})

async function assertNotReady(node: Darkroom, reason: RegExp, secrets: readonly string[]): Promise<void> {
  const { id, bytes } = await noisePicture(8)
  const answers = [
    await ask(`${node.url}/image/${id}/40w/x.jpg`),
    await ask(`${node.url}/images/${id}`),
    await post(node.url, bytes),
  ]
  for (const answer of answers) {
    assertUnavailable(answer, /^store_unavailable$/, secrets)
    assert.ok(answer.ms < 1500)
  }
  assert.equal((await ask(`${node.url}/healthz`)).status, 200)
  const ready = await ask(`${node.url}/readyz`)
  assert.equal(ready.status, 503)
  assert.match(ready.body.toString(), reason)
  for (const secret of secrets) assert.ok(!ready.body.toString().includes(secret))
}
