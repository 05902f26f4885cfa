import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseSpec } from '../../../../src/domain/spec/spec.ts'
import type { OutputFormat } from '../../../../src/domain/spec/image-format.ts'
import { createDeletionGuard } from '../../../../src/service/deletion/guard.ts'
import { sweepSharedRenditions } from '../../../../src/service/renditions/shared-renditions.ts'
import { original } from '../../../support/memory-engine.ts'
import { createMemoryStore } from '../../../support/memory-store.ts'
import { createStage, idOf, type MemoryStore, never, type StageOptions } from '../../../support/service-stage.ts'

const ORIGINAL = original()
const ID = idOf(ORIGINAL)
/** WebP of 1000 × 500 px costs 51 ms to encode, JPEG 8 ms, each besides 7 ms for decoding. */
const COSTLY = { id: ID, spec: parseSpec('1000w'), as: 'webp' } as const
const CHEAP = { id: ID, spec: parseSpec('1000w'), as: 'jpg' } as const

type Stage = ReturnType<typeof createStage>

/** Two nodes with one store. */
function twoNodes(settings: StageOptions = {}): readonly [Stage, Stage] {
  const memory = createMemoryStore()
  const clock = { ms: 1_800_000_000_000 }
  const start = () => createStage({ store: memory, clock, shareOverMs: 50, ...settings })
  return [start(), start()]
}

async function written({ sharedRenditions, primes }: Stage): Promise<void> {
  while (sharedRenditions.pending + primes.pending > 0) await new Promise(setImmediate)
}

const view = async (stage: Stage, wanted: { id: string; spec: ReturnType<typeof parseSpec>; as: OutputFormat }) =>
  await stage.renditions.rendition(wanted, never)

const sharedKeys = ({ objects }: Pick<MemoryStore, 'objects'>) =>
  [...objects.keys()].filter((key) => key.startsWith('renditions/'))
const looks = ({ asked }: Stage) => asked.filter((call) => call.startsWith('open renditions/'))

test('A costly rendition of one node is sent by another without a render, with the same validators', async () => {
  const [one, other] = twoNodes()
  await one.upload(ORIGINAL)
  const made = await view(one, COSTLY)
  await written(one)
  const found = await view(other, COSTLY)
  assert.equal(other.engine.rendered.length, 0)
  assert.deepEqual([found.mtimeSeconds, found.sizeBytes], [made.mtimeSeconds, made.sizeBytes])
  assert.deepEqual(other.disk.files.get(`${ID}/1000w.webp`), one.disk.files.get(`${ID}/1000w.webp`))
  assert.deepEqual(other.sharedRenditions.counters, { hits: 1, misses: 0, writes: 0, drops: 0 })
})

test('A cheap rendition is not written, and its view makes no look', async () => {
  const [one, other] = twoNodes()
  await one.upload(ORIGINAL)
  await view(one, CHEAP)
  await written(one)
  await view(other, CHEAP)
  assert.deepEqual(sharedKeys(one), [])
  assert.deepEqual([...looks(one), ...looks(other)], [])
})

test('A costly rendition that no node has made costs one look', async () => {
  const [one] = twoNodes()
  await one.upload(ORIGINAL)
  await view(one, COSTLY)
  assert.equal(looks(one).length, 1)
})

test('Primed renditions are found by other nodes in every format, whatever they cost, with the validators of the first', async () => {
  const [one, other] = twoNodes({ primed: ['100w'] })
  await one.upload(ORIGINAL)
  one.primes.prime(ID, [parseSpec('100w')])
  await written(one)
  for (const accept of ['avif', 'webp', 'other'] as const) {
    const wanted = { id: ID, spec: parseSpec('100w'), as: { accept } }
    const made = await one.renditions.rendition(wanted, never)
    const before = looks(other).length
    const found = await other.renditions.rendition(wanted, never)
    assert.deepEqual([found.format, found.mtimeSeconds], [made.format, made.mtimeSeconds])
    assert.equal(looks(other).length - before, 1)
  }
  assert.equal(other.engine.rendered.length, 0)
})

test('Another version of the pipeline has its own renditions', async () => {
  const [one] = twoNodes()
  await one.upload(ORIGINAL)
  await view(one, COSTLY)
  await written(one)
  const [key = ''] = sharedKeys(one)
  assert.ok(key.includes(`/${one.cache.mtimeSeconds}-1000w.webp`))
})

test('A damaged rendition is not used, and is replaced', async () => {
  const [one, other] = twoNodes()
  await one.upload(ORIGINAL)
  await view(one, COSTLY)
  await written(one)
  const [key = ''] = sharedKeys(one)
  const stored = one.objects.get(key)
  assert.ok(stored)
  one.objects.set(key, { ...stored, bytes: Buffer.concat([Buffer.from('x'), stored.bytes.subarray(1)]) })
  await view(other, COSTLY)
  await written(other)
  assert.equal(other.engine.rendered.length, 1)
  assert.match(other.troubles.join(), /damaged rendition/)
  assert.deepEqual(one.objects.get(key)?.bytes, stored.bytes)
})

test('A deletion removes the renditions from the store; one that a crash left behind is not served', async () => {
  const [one, other] = twoNodes()
  await one.upload(ORIGINAL)
  await view(one, COSTLY)
  await written(one)
  const left = new Map(sharedKeys(one).map((key) => [key, one.objects.get(key)]))
  await one.deletions.remove(ID, never)
  assert.deepEqual(sharedKeys(one), [])
  for (const [key, object] of left) if (object) one.objects.set(key, object)
  await assert.rejects(view(other, COSTLY), { code: 'original_deleted' })
})

test('A rendition that is written while its image is deleted does not stay', async () => {
  const [one, other] = twoNodes()
  await one.upload(ORIGINAL)
  await view(one, COSTLY)
  // The deletion is over before the write has begun.
  await other.deletions.remove(ID, never)
  await written(one)
  assert.deepEqual(sharedKeys(one), [])
})

test('After a purge a node does not read what was shared before it, and the store has it no longer', async () => {
  const [one, other] = twoNodes()
  await one.upload(ORIGINAL)
  await view(one, COSTLY)
  await written(one)
  await other.watch.announce(ID, never)
  await view(other, COSTLY)
  assert.equal(other.engine.rendered.length, 1)
  assert.deepEqual(looks(other), [])
  await written(other)
  await other.sharedRenditions.remove(ID, never)
  assert.deepEqual(sharedKeys(other), [])
})

test('A node that hears late of a purge removes what it has written after it', async () => {
  const [one, other] = twoNodes()
  await one.upload(ORIGINAL)
  await other.watch.announce(ID, never)
  await other.sharedRenditions.remove(ID, never)
  await view(one, COSTLY)
  await written(one)
  assert.equal(sharedKeys(one).length, 1)
  await one.watch.poll(never)
  await written(one)
  assert.deepEqual(sharedKeys(one), [])
})

test('Writes beyond the bound are dropped and counted, and a node that stops finishes those that wait', async () => {
  const [one] = twoNodes()
  await one.upload(ORIGINAL)
  const work = createDeletionGuard(one).begin(ID)
  const specs = Array.from({ length: 300 }, (_, at) => parseSpec(`${at + 1}w`))
  for (const spec of specs) {
    const made = { bytes: Buffer.alloc(10), format: 'webp' } as const
    one.sharedRenditions.keep({ id: ID, spec, as: 'webp' }, made, work)
  }
  assert.equal(one.sharedRenditions.counters.drops, 44)
  await one.sharedRenditions.stop()
  assert.equal(one.sharedRenditions.counters.writes, 256)
  assert.equal(sharedKeys(one).length, 256)
})

test('The sweep of a folder removes the days that have ended, and no others', async () => {
  const [one] = twoNodes()
  await one.upload(ORIGINAL)
  await view(one, COSTLY)
  await written(one)
  const sweep = (nowMs: number) => sweepSharedRenditions(one.store, { keepDays: 30, nowMs }, never)
  await sweep(one.clock.ms)
  assert.equal(sharedKeys(one).length, 1)
  await sweep(one.clock.ms + 60 * 86_400_000)
  assert.deepEqual(sharedKeys(one), [])
  assert.ok(one.objects.size > 0)
})
