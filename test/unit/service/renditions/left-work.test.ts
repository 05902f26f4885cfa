import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { parseSpec } from '../../../../src/domain/spec/spec.ts'
import { originalKey } from '../../../../src/domain/stored/store-layout.ts'
import { original } from '../../../support/memory-engine.ts'
import { createMemoryStore } from '../../../support/memory-store.ts'
import { createStage, type MemoryStore, never } from '../../../support/service-stage.ts'

type Stage = ReturnType<typeof createStage>
const SPECS = [100, 200, 300].map((width) => parseSpec(`${width}w`))
/** Animations are rendered one by one. */
const ORIGINALS = [2, 3, 4].map((frames) => original({ frames, format: 'gif' }))

function ask({ renditions }: Stage, id: string, spec = SPECS[0]) {
  assert.ok(spec)
  const leaving = new AbortController()
  const view = renditions.rendition({ id, spec, as: 'webp' }, leaving.signal)
  return {
    async leave() {
      leaving.abort(new Error('left'))
      await assert.rejects(view, { message: 'left' })
    },
  }
}

async function ended({ left, renditions }: Stage): Promise<void> {
  while (left.leftFetches.pending + left.leftRenders.pending + renditions.flights > 0) await new Promise(setImmediate)
}

/** The renders wait until the returned function is called. */
function hold(stage: Stage) {
  const rendering = Promise.withResolvers<void>()
  const begun = { count: 0 }
  stage.engine.duringRender = () => {
    begun.count += 1
    return rendering.promise
  }
  const untilBegun = async (count: number) => {
    while (begun.count < count) await new Promise(setImmediate)
  }
  return { release: rendering.resolve, untilBegun }
}

test('A render that has begun is kept when its client has left, and one that waits is dropped', async () => {
  const stage = createStage()
  const ids = await Promise.all(ORIGINALS.map((bytes) => stage.plant(bytes)))
  const { release, untilBegun } = hold(stage)
  const begun = ids.slice(0, 2).map((id) => ask(stage, id))
  await untilBegun(2)
  const waiting = ask(stage, ids[2] ?? '')
  while (stage.renderQueue.waiting < 1) await new Promise(setImmediate)
  await Promise.all([...begun, waiting].map((each) => each.leave()))
  release()
  await ended(stage)
  const onDisk = ids.map((id) => stage.disk.files.has(`${id}/100w.webp`))
  assert.deepEqual(onDisk, [true, true, false])
  assert.deepEqual(stage.left.leftRenders.counters, { kept: 2, canceled: 0 })
  assert.equal(stage.engine.rendered.length, 2)
  assert.deepEqual([stage.renderQueue.active, stage.renderQueue.waiting], [0, 0])
})

test('A render whose image is deleted after its client has left does not bring the image back', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  const { release, untilBegun } = hold(stage)
  const view = ask(stage, id)
  await untilBegun(1)
  await view.leave()
  await stage.deletions.remove(id, never)
  release()
  await ended(stage)
  assert.ok(!stage.disk.files.has(`${id}/100w.webp`))
})

/** The first byte comes when `time` has come. */
async function* later(time: Promise<void>, body: Readable): AsyncIterable<unknown> {
  await time
  yield* body
}

test('A fetch whose response has begun is kept when its client has left, within the bound', async () => {
  const memory = createMemoryStore()
  const responding = Promise.withResolvers<void>()
  const opened: string[] = []
  const store: MemoryStore = {
    ...memory,
    async open(key, signal) {
      const object = await memory.open(key, signal)
      if (object === undefined || !key.startsWith('originals/')) return object
      opened.push(key)
      return { ...object, body: Readable.from(later(responding.promise, object.body)) }
    },
  }
  const stage = createStage({ store })
  const ids = await Promise.all(ORIGINALS.map((bytes) => stage.plant(bytes)))
  const [one, two, three] = ids
  assert.ok(one && two && three)
  const views = [one, two].map((id) => ask(stage, id))
  while (opened.length < 2) await new Promise(setImmediate)
  await Promise.all(views.map((view) => view.leave()))
  responding.resolve()
  await ended(stage)
  assert.deepEqual(stage.left.leftFetches.counters, { kept: 2, canceled: 0 })
  assert.equal(stage.engine.rendered.length, 0)
  // The next view needs no fetch.
  await stage.renditions.rendition({ id: one, spec: parseSpec('200w'), as: 'jpg' }, never)
  assert.deepEqual(opened.toSorted(), [one, two].map(originalKey).toSorted())
})
