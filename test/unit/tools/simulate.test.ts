import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createGdsf } from '../../../tools/simulate/gdsf.ts'
import { afterWarmUp, hitRatios, POLICIES, replay } from '../../../tools/simulate/hit-ratio.ts'
import { createFifo, createLru, createS4Lru, createSieve, type Policy } from '../../../tools/simulate/policies.ts'
import { compareReplay, replayError, replayLines, replayPlot } from '../../../tools/simulate/replay-report.ts'
import { createTrace } from '../../../tools/simulate/trace.ts'

const OPTIONS = { seed: 1, requests: 15_000, originals: 1500, days: 14, zipf: 0.9 }

/** Objects of one byte each, in a cache of four. @returns the requests that were hits. */
function hitsOf(create: (bytes: Float64Array, capacityBytes: number) => Policy, requests: string): string {
  const policy = create(new Float64Array(26).fill(1), 4)
  return Array.from(requests)
    .filter((name, time) => policy.request(name.charCodeAt(0) - 97, time))
    .join('')
}

test('each policy evicts as its definition says', () => {
  // FIFO drops a, although it was just requested.
  assert.equal(hitsOf(createFifo, 'abcdaea'), 'a')
  assert.equal(hitsOf(createLru, 'abcdaeab'), 'aa')
  // A segment of S4LRU has room for one: c pushes b out, but not a, which moved to the next one.
  assert.equal(hitsOf(createS4Lru, 'aabcab'), 'aa')
  // SIEVE spares a, which was requested since, and removes b.
  assert.equal(hitsOf(createSieve, 'abcdaeab'), 'aa')
  // GDSF keeps a and b, which were requested most.
  assert.equal(hitsOf(createGdsf, 'aabbcdeab'), 'abab')
  // A byte of d is requested less than one of the others.
  const sized = createGdsf(Float64Array.of(1, 1, 1, 4), 6)
  assert.deepEqual(
    [0, 1, 3, 2, 0, 1, 3].map((object, time) => sized.request(object, time)),
    [false, false, false, false, true, true, false],
  )
})

test('a trace is the same for the same seed, in the order of time, with the sizes of its originals', () => {
  const trace = createTrace(OPTIONS)
  assert.deepEqual(trace.objects, createTrace(OPTIONS).objects)
  assert.notDeepEqual(trace.objects, createTrace({ ...OPTIONS, seed: 2 }).objects)
  assert.deepEqual(trace.times, trace.times.toSorted())
  assert.ok((trace.times[0] ?? 0) >= 0 && (trace.times.at(-1) ?? 0) <= 14 * 86_400_000)
  // No request is for a source.
  assert.equal(
    trace.objects.some((object) => trace.source[object] === object),
    false,
  )
})

test('the eviction of the cache has more hits than S4LRU and LRU, and fewer than the optimum', () => {
  const trace = createTrace(OPTIONS)
  const { ratios, storeReads } = hitRatios(trace, 0.05)
  const { Darkroom = 0, LRU = 0, S4LRU = 0, Belady = 0 } = Object.fromEntries(ratios)
  assert.ok(Darkroom > LRU * 1.08, `${Darkroom} ${LRU}`)
  assert.ok(Darkroom > S4LRU * 1.05, `${Darkroom} ${S4LRU}`)
  for (const [name, ratio] of ratios) assert.ok(ratio <= Belady, name)
  for (const [name, reads] of storeReads) assert.ok(reads <= 1 - (ratios.get(name) ?? 0), name)
})

test('a node is compared with the simulation in its budget, and with other policies in the bytes that it used', () => {
  const trace = createTrace({ ...OPTIONS, requests: 5000, originals: 100 })
  const capacityBytes = trace.totalBytes / 20
  const { isHit } = replay(trace, POLICIES.Darkroom(trace.bytes, capacityBytes))
  const node = {
    trace,
    capacityBytes,
    isHit,
    directHits: 4000,
    coalesced: 7,
    usedBytes: [0, 0, 2 * capacityBytes, 4 * capacityBytes],
    evictedFiles: 1,
    cpuSeconds: 1,
    seconds: 2,
  }
  const comparison = compareReplay(node)
  assert.equal(replayError(comparison), 0)
  const lru = replay(trace, POLICIES.LRU(trace.bytes, 3 * capacityBytes))
  assert.deepEqual(comparison.simulated.get('LRU'), lru.isHit)
  const text = replayLines(comparison).join('\n')
  assert.match(text, new RegExp(`real node behind nginx \\| ${afterWarmUp(isHit).toFixed(3)} `))
  assert.match(text, /80 % of them answered by nginx alone/)
  assert.match(replayPlot(comparison), /node behind nginx/)
  // A node with no hits in the second half.
  const none = compareReplay({ ...node, isHit: new Uint8Array(5000) })
  assert.ok(replayError(none) < -0.1)
})
