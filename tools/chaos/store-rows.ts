import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { noisePicture } from '../pictures/picture.ts'
import { ask, assertUnavailable, filesBelow } from '../requests/ask.ts'
import { percentile } from '../requests/percentile.ts'
import type { Fault } from '../servers/fault-proxy.ts'
import { AUTHORIZATION } from '../servers/site.ts'
import type { FaultRow, RowScope } from './row.ts'
import { assertRecovers, type Stage, setStage } from './stage.ts'
import { cachedAnswers } from './staged-pictures.ts'

const CACHED_MS = 50
const MAX_CALLS = 64
/** FETCH_CONCURRENCY, and what the row's crowd is. */
const AT_ONCE = 32
const CROWD = 60
const DEADLINE_MS = 10_000
const READS = { method: /^GET$/, path: /\/originals\// } as const
/** Ids of nothing. */
const nowhere = (count: number): string[] => Array.from({ length: count }, (_, at) => String(at + 1).padStart(40, '0'))

interface Outage {
  readonly fault: Fault
  /** What `/readyz` says. */
  readonly reason: RegExp
  /** For each answer, from the first request on. */
  readonly withinMs: number
}

/** All that needs the store is a clean 503 in time, all that is cached goes on, and nothing of either stays. */
export async function endure(scope: RowScope, stage: Stage, { fault, reason, withinMs }: Outage): Promise<void> {
  const { tally } = scope
  const { node, url, proxy, fresh, late } = stage
  const before = await filesBelow(join(node.cacheDir, 'renditions'))
  await proxy.setFault(fault)
  proxy.requests.length = 0
  const [cachedMs, ready, live, ...failed] = await Promise.all([
    cachedAnswers(stage),
    ask(`${node.url}/readyz`),
    ask(`${node.url}/healthz`),
    tally.ask(stage.freshUrl),
    tally.ask(`${url}/image/${fresh.id}/40w`),
    tally.ask(`${url}/images/${fresh.id}`),
    tally.ask(`${url}/images/${fresh.id}/original`, { headers: AUTHORIZATION }),
    stage.post(late.bytes),
  ])
  for (const answer of failed) assertUnavailable(answer, /^store_unavailable$/)
  const slowestMs = Math.round(Math.max(...failed.map(({ ms }) => ms)))
  assert.ok(slowestMs < withinMs, `a 503 took ${slowestMs} ms`)
  assert.ok(cachedMs < CACHED_MS, `the median of what is cached took ${cachedMs} ms`)
  assert.equal(live.status, 200)
  assert.equal(ready.status, 503)
  assert.match(ready.body.toString(), reason)
  assert.deepEqual(await filesBelow(join(node.cacheDir, 'renditions')), before)
  scope.says(`503 within ${slowestMs} ms, cached within ${cachedMs.toFixed(1)} ms (median), ready 503, live 200`)
  await proxy.setFault(undefined)
  await assertRecovers(scope, stage)
}

async function refused(scope: RowScope): Promise<void> {
  const outage = { fault: { kind: 'refuse' }, reason: /is unreachable/, withinMs: 1000 } as const
  await endure(scope, await setStage(scope), outage)
}

async function silent(scope: RowScope): Promise<void> {
  const stage = await setStage(scope)
  const reason = /did not respond in time|is unreachable/
  await endure(scope, stage, { fault: { kind: 'silent' }, reason, withinMs: 5000 })
  await stage.proxy.setFault({ kind: 'silent' })
  const flight = { landed: false }
  const flights = nowhere(100).map((id) => scope.tally.ask(`${stage.url}/image/${id}/40w/x.jpg`))
  const answers = Promise.all(flights).finally(() => {
    flight.landed = true
  })
  const cached: number[] = []
  let connections = 0
  while (!flight.landed) {
    const hit = await scope.tally.ask(stage.knownUrl)
    assert.equal(hit.status, 200)
    cached.push(hit.ms)
    connections = Math.max(connections, stage.proxy.openConnections())
  }
  const slowestMs = Math.round(Math.max(...(await answers).map(({ ms }) => ms)))
  for (const answer of await answers) assertUnavailable(answer, /^(store_unavailable|overloaded)$/)
  const p99 = percentile(cached, 0.99)
  scope.says(
    `100 viewers at once: all 503 within ${slowestMs} ms, ${connections} connections to the store, cached p99 ${p99} ms`,
  )
  assert.ok(slowestMs < 5500 && p99 < 100 && connections <= MAX_CALLS + 2)
  await stage.proxy.setFault(undefined)
  await assertRecovers(scope, stage)
}

async function slow(scope: RowScope): Promise<void> {
  const stage = await setStage(scope)
  const { tally } = scope
  const { node, proxy, url, fresh } = stage
  const pictures = await Promise.all(Array.from({ length: CROWD }, (_, at) => noisePicture(100 + at)))
  for (const { bytes } of pictures) assert.equal((await stage.post(bytes)).status, 201)
  await rm(join(node.cacheDir, 'originals'), { recursive: true })

  await proxy.setFault({ kind: 'latency', ms: 2000 })
  const alone = await tally.ask(stage.freshUrl)
  assert.equal(alone.status, 200)
  let connections = 0
  const watch = setInterval(() => {
    connections = Math.max(connections, proxy.openConnections())
  }, 20)
  scope.after(() => clearInterval(watch))
  const crowd = await Promise.all(pictures.map(({ id }) => tally.ask(`${url}/image/${id}/40w/x.jpg`)))
  const shown = crowd.filter(({ status }) => status === 200).length
  for (const answer of crowd) if (answer.status !== 200) assertUnavailable(answer, /^(store_unavailable|overloaded)$/)
  const slowestMs = Math.round(Math.max(...crowd.map(({ ms }) => ms)))
  scope.says(
    `2 s: one viewer 200 after ${Math.round(alone.ms)} ms; of ${CROWD} at once ${shown} 200, all answered within ${slowestMs} ms, ` +
      `${connections} connections`,
  )
  assert.ok(shown >= AT_ONCE && slowestMs < DEADLINE_MS + 1500 && connections <= MAX_CALLS + 2)

  await rm(join(node.cacheDir, 'originals'), { recursive: true })
  await proxy.setFault({ kind: 'throttle', bytesPerSecond: 10_000, matching: READS })
  const given = await tally.ask(`${url}/image/${fresh.id}/41w/x.jpg`)
  scope.says(`10 kB/s: ${given.status} after ${Math.round(given.ms)} ms`)
  assertUnavailable(given, /^store_unavailable$/)
  assert.ok(given.ms > DEADLINE_MS - 1000 && given.ms < DEADLINE_MS + 1500)
  await proxy.setFault(undefined)
  await assertRecovers(scope, stage)
}

const BURST = 100

/** @returns requests that came to the store, without the node's own looks for deletions. */
async function burst(scope: RowScope, { url, proxy }: Stage, prefix: string): Promise<number> {
  proxy.requests.length = 0
  for (let at = 0; at < BURST; at += 10) {
    const ids = Array.from({ length: 10 }, (_, index) => `${prefix}${at + index}`.padStart(40, '0'))
    const answers = await Promise.all(ids.map((id) => scope.tally.ask(`${url}/image/${id}/40w/x.jpg`)))
    for (const answer of answers) assertUnavailable(answer, /^store_unavailable$/)
  }
  return proxy.requests.filter((request) => !request.includes('invalidations')).length
}

async function failing(scope: RowScope): Promise<void> {
  const FAULTS = [
    { kind: 'status', status: 500 },
    { kind: 'status', status: 503, code: 'SlowDown' },
  ] as const
  for (const fault of FAULTS) {
    const stage = await setStage(scope)
    await stage.proxy.setFault(fault)
    // Ten requests before anybody can know, each of which may be tried three times; then the breaker.
    const first = await burst(scope, stage, 'a')
    const then = await burst(scope, stage, 'b')
    scope.says(`${fault.status}: ${BURST} requests in, ${first} at the store; the next ${BURST}: ${then}`)
    assert.ok(first <= 3 * BURST && then <= 10)
    await endure(scope, stage, { fault, reason: /is overloaded|is unreachable/, withinMs: 2000 })
  }
}

async function portal(scope: RowScope): Promise<void> {
  for (const kind of ['html', 'redirect'] as const) {
    await endure(scope, await setStage(scope), { fault: { kind }, reason: /unexpected response/, withinMs: 1000 })
  }
}

export const STORE_ROWS: readonly FaultRow[] = [
  { row: 1, fault: 'S3 down (refused)', what: 'The store refuses connections', run: refused },
  {
    row: 2,
    fault: 'S3 silent',
    what: 'The store accepts connections and never responds; then 100 concurrent clients',
    run: silent,
  },
  {
    row: 3,
    fault: 'S3 slow',
    what: 'Every response of the store takes 2 s, for one client and for 60 at once; then bodies at 10 kB/s',
    run: slow,
  },
  {
    row: 4,
    fault: 'S3 500 / 503 SlowDown',
    what: 'Every response of the store is an error; twice 100 clients request 100 pictures',
    run: failing,
  },
  {
    row: 14,
    fault: 'HTML or a redirect from a captive proxy',
    what: 'An HTML page replaces every response of the store',
    run: portal,
  },
]
