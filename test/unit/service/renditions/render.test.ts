import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planTransform } from '../../../../src/domain/picture/transform-plan.ts'
import { parseSpec } from '../../../../src/domain/spec/spec.ts'
import { createWorkQueue } from '../../../../src/service/load/work-queue.ts'
import { createRenderBatcher } from '../../../../src/service/renditions/render.ts'
import { createMemoryDisk } from '../../../support/memory-cache.ts'
import { createMemoryEngine, FACTS, original } from '../../../support/memory-engine.ts'
import { never } from '../../../support/service-stage.ts'

const meter = { rendered() {}, fetched() {}, waited() {}, trouble() {} }
const source = { bytes: original() }
const job = (spec: string, key = 'one') => ({
  source,
  key,
  plan: planTransform(parseSpec(spec), FACTS, 'jpg', 8192),
  priority: 'viewer' as const,
  cost: { decodingMs: 10, encodingMs: 1 },
})

function setUp(maxWaiting = 100) {
  const engine = createMemoryEngine(createMemoryDisk())
  const queue = createWorkQueue({ name: 'a renderer', concurrency: 1, maxWaiting })
  // Keeps the only slot until it is let go.
  const busy = Promise.withResolvers<void>()
  const blocker = queue.run(() => busy.promise, never)
  return {
    engine,
    queue,
    batcher: createRenderBatcher({ engine, renderQueue: queue, meter, maxWaiting }),
    release: () => busy.resolve(),
    blocker,
  }
}

test('Sizes of one original that wait together are made from one decoding, each for whom it is', async () => {
  const { engine, batcher, release } = setUp()
  const all = ['100w', '200w', '300w'].map((spec) => batcher.render(job(spec), never))
  const other = batcher.render(job('100w', 'another'), never)
  release()
  const texts = (await Promise.all(all)).map(String)
  assert.deepEqual(texts, ['100x50 jpg', '200x100 jpg', '300x150 jpg'])
  assert.equal((await other).toString(), '100x50 jpg')
  assert.deepEqual(engine.decoded, [3, 1])
})

test('What comes when its fellows have begun waits for the next turn', async () => {
  const { engine, batcher, release } = setUp()
  const rendering = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  engine.duringRender = () => {
    begun.resolve()
    return rendering.promise
  }
  const first = batcher.render(job('100w'), never)
  release()
  await begun.promise
  const second = batcher.render(job('200w'), never)
  rendering.resolve()
  await Promise.all([first, second])
  assert.deepEqual(engine.decoded, [1, 1])
})

test('One who leaves is left out, and a batch that all have left is never begun', async () => {
  const { engine, queue, batcher, release, blocker } = setUp()
  const leaving = new AbortController()
  const gone = batcher.render(job('100w'), leaving.signal)
  const staying = batcher.render(job('200w'), never)
  const lonely = batcher.render(job('300w', 'another'), leaving.signal)
  leaving.abort(new Error('left'))
  await assert.rejects(gone, { message: 'left' })
  await assert.rejects(lonely, { message: 'left' })
  release()
  await staying
  await blocker
  assert.deepEqual(engine.rendered, ['200x100 jpg'])
  assert.equal(queue.waiting, 0)
})

test('A queue that is full refuses all of a batch, and one size that fails takes no other with it', async () => {
  const full = setUp(0)
  await assert.rejects(full.batcher.render(job('100w'), never), { code: 'overloaded' })
  const { batcher, release } = setUp()
  const broken = { ...job('100w', 'broken'), source: { bytes: original({ broken: true }) } }
  const outcomes = Promise.allSettled([batcher.render(broken, never), batcher.render(job('100w'), never)])
  release()
  assert.deepEqual(
    (await outcomes).map(({ status }) => status),
    ['rejected', 'fulfilled'],
  )
})

test('Those who join a batch are bounded too', async () => {
  const { batcher, release } = setUp(2)
  const all = Promise.all(['100w', '200w'].map((spec) => batcher.render(job(spec), never)))
  await assert.rejects(batcher.render(job('300w'), never), { code: 'overloaded' })
  release()
  await all
  assert.ok(await batcher.render(job('300w'), never), 'and there is room again')
})
