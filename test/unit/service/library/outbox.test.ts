import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deletedEvent, type ImageEvent } from '../../../../src/domain/info/image-event.ts'
import { OUTBOX_PREFIX, parseBatch } from '../../../../src/domain/stored/outbox-batch.ts'
import { UnavailableError } from '../../../../src/errors.ts'
import { createOutbox, LATE_MS } from '../../../../src/service/library/outbox.ts'
import type { ObjectStore } from '../../../../src/service/ports/store.ts'
import { original } from '../../../support/memory-engine.ts'
import { createMemoryStore } from '../../../support/memory-store.ts'
import { createStage, idOf, type MemoryStore, never } from '../../../support/service-stage.ts'

const event = (number: number): ImageEvent => deletedEvent(String(number).padStart(40, '0'), 1000 + number)

function batchesIn({ objects }: MemoryStore): readonly (readonly ImageEvent[])[] {
  const keys = [...objects.keys()].filter((key) => key.startsWith(OUTBOX_PREFIX)).toSorted()
  return keys.map((key) => parseBatch(objects.get(key)?.bytes.toString() ?? '').events)
}

/** An outbox over a store in memory whose puts wait until they are let through. */
function setUp() {
  const memory = createMemoryStore()
  const clock = { ms: 1_800_000_000_000 }
  const troubles: string[] = []
  const held: PromiseWithResolvers<void>[] = []
  const put: ObjectStore['put'] = async (...args) => {
    const gate = Promise.withResolvers<void>()
    held.push(gate)
    await gate.promise
    return await memory.put(...args)
  }
  const meter = { trouble: (message: string) => void troubles.push(message) }
  const outbox = createOutbox({ store: { ...memory, put }, meter, now: () => clock.ms, node: '0000000a' })
  const turn = () => new Promise(setImmediate)
  return {
    memory,
    clock,
    troubles,
    outbox,
    turn,
    /** Lets the oldest put through, or fails it. */
    async letPut(error?: Error) {
      while (held.length === 0) await turn()
      const gate = held.shift()
      if (error) gate?.reject(error)
      else gate?.resolve()
      await turn()
    },
    get puts() {
      return held.length
    },
  }
}

test('One event is written at once, and those that come meanwhile share the next put', async () => {
  const stage = setUp()
  const reports = [0, 1, 2, 3].map((number) => stage.outbox.report(event(number), never))
  assert.equal(stage.puts, 1)
  assert.equal(stage.outbox.counters.waiting, 4)
  await stage.letPut()
  await reports[0]
  assert.equal(stage.outbox.counters.waiting, 3)
  await stage.letPut()
  await Promise.all(reports)
  assert.deepEqual(batchesIn(stage.memory), [[event(0)], [event(1), event(2), event(3)]])
  const { events, batches, failures, waiting, oldestSeconds } = stage.outbox.counters
  assert.deepEqual([events, batches, failures, waiting, oldestSeconds], [4, 2, 0, 0, 0])
})

test('An event that was written lately, or is being written, is not written again', async () => {
  const stage = setUp()
  const both = [stage.outbox.report(event(1), never), stage.outbox.report(event(1), never)]
  await stage.letPut()
  await Promise.all(both)
  await stage.outbox.report(event(1), never)
  assert.deepEqual(batchesIn(stage.memory), [[event(1)]])
  assert.ok(stage.outbox.has(event(1)) && !stage.outbox.has(event(2)))
})

test('A put that fails refuses its own events only, and one line says so until it succeeds again', async () => {
  const stage = setUp()
  const down = new UnavailableError('store_unavailable', 'down')
  const first = stage.outbox.report(event(1), never)
  const second = stage.outbox.report(event(2), never)
  await Promise.all([assert.rejects(first, { code: 'store_unavailable' }), stage.letPut(down)])
  await Promise.all([assert.rejects(second, { code: 'store_unavailable' }), stage.letPut(down)])
  assert.equal(stage.troubles.length, 1)
  assert.ok(!stage.outbox.has(event(1)))
  const third = stage.outbox.report(event(1), never)
  await stage.letPut()
  await third
  assert.deepEqual(batchesIn(stage.memory), [[event(1)]])
})

test('A batch that appears long after its time is written again before it is acknowledged', async () => {
  const stage = setUp()
  let isAcknowledged = false
  const reported = stage.outbox.report(event(1), never).then(() => (isAcknowledged = true))
  stage.clock.ms += LATE_MS
  await stage.letPut()
  assert.equal(isAcknowledged, false)
  await stage.letPut()
  await reported
  assert.deepEqual(batchesIn(stage.memory), [[event(1)], [event(1)]])
})

test('Two batches of a process never have the same time, whatever its clock does', async () => {
  const stage = setUp()
  for (const number of [1, 2, 3]) {
    const reported = stage.outbox.report(event(number), never)
    await stage.letPut()
    await reported
    stage.clock.ms -= 1000
  }
  assert.deepEqual(batchesIn(stage.memory), [[event(1)], [event(2)], [event(3)]])
})

test('Beyond a limit of waiting events, others are refused', async () => {
  const stage = setUp()
  const reports = Array.from({ length: 2000 }, (_, number) => stage.outbox.report(event(number), never))
  await assert.rejects(stage.outbox.report(event(2000), never), { name: 'UnavailableError', code: 'overloaded' })
  for (let puts = 0; puts < 5; puts += 1) await stage.letPut()
  await Promise.all(reports)
  assert.equal(stage.outbox.counters.events, 2000)
})

test('A caller that gives up leaves, and its event is written all the same', async () => {
  const stage = setUp()
  const caller = new AbortController()
  const reported = stage.outbox.report(event(1), caller.signal)
  caller.abort(new Error('gone'))
  await assert.rejects(reported, /gone/)
  await stage.letPut()
  await stage.outbox.stop()
  assert.deepEqual(batchesIn(stage.memory), [[event(1)]])
})

const BYTES = original()
const ID = idOf(BYTES)

test('An upload, a deletion and a new upload are reported with rising versions, under clocks that differ', async () => {
  const stage = createStage()
  const slow = createStage({ store: stage.memory, clock: { ms: stage.clock.ms - 60_000 }, node: '0000000b' })
  await stage.upload(BYTES)
  await slow.deletions.remove(ID, never)
  const { record } = await slow.upload(BYTES)
  const events = batchesIn(stage.memory).flat()
  const versions = events.toSorted((one, other) => one.version - other.version).map(({ type }) => type)
  assert.deepEqual(versions, ['image.stored', 'image.deleted', 'image.stored'])
  assert.deepEqual(await stage.records.record(ID, never), record)
  assert.equal(Date.parse(record.uploadedAt), stage.clock.ms + 2)
})

test('An upload whose event cannot be written is refused; repeated, it is the same image and the same event', async () => {
  const stage = createStage()
  const { put } = stage.store
  stage.store.put = async (key, ...args) => {
    if (key.startsWith(OUTBOX_PREFIX)) throw new UnavailableError('store_unavailable', 'down')
    return await put(key, ...args)
  }
  await assert.rejects(stage.upload(BYTES), { code: 'store_unavailable' })
  assert.deepEqual(batchesIn(stage.memory), [])
  stage.store.put = put
  stage.clock.ms += 5000
  const { record, created } = await stage.upload(BYTES)
  assert.deepEqual([record.id, created], [ID, false])
  const restarted = createStage({ store: stage.memory, clock: { ms: stage.clock.ms + 1 } })
  await restarted.upload(BYTES)
  const ids = batchesIn(stage.memory).flatMap((events) => events.map(({ id }) => id))
  assert.equal(ids.length, 2, 'a node that does not know the event writes it again')
  assert.equal(new Set(ids).size, 1)
})

test('A deletion that is repeated has one event, also if its first attempt failed', async () => {
  const stage = createStage()
  await stage.upload(BYTES)
  const { put } = stage.store
  stage.store.put = async (key, ...args) => {
    if (key.startsWith(OUTBOX_PREFIX)) throw new UnavailableError('store_unavailable', 'down')
    return await put(key, ...args)
  }
  await assert.rejects(stage.deletions.remove(ID, never), { code: 'store_unavailable' })
  await assert.rejects(stage.records.record(ID, never), { code: 'original_deleted' })
  const marked = stage.clock.ms + 1
  stage.clock.ms += 5000
  stage.store.put = put
  await stage.deletions.remove(ID, never)
  await createStage({ store: stage.memory }).deletions.remove(ID, never)
  const deletions = batchesIn(stage.memory)
    .flat()
    .filter(({ type }) => type === 'image.deleted')
  assert.deepEqual(deletions, [deletedEvent(ID, marked)])
})
