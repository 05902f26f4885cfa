import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deletedEvent, type ImageEvent, storedEvent } from '../../../../src/domain/info/image-event.ts'
import { HORIZON_MS, parseCursor } from '../../../../src/domain/stored/event-cursor.ts'
import { batchKey, formatBatch, OUTBOX_PREFIX } from '../../../../src/domain/stored/outbox-batch.ts'
import { createEventFeed } from '../../../../src/service/library/event-feed.ts'
import { putBytes } from '../../../../src/service/tools/small-object.ts'
import { original } from '../../../support/memory-engine.ts'
import { createMemoryStore } from '../../../support/memory-store.ts'
import { createStage, never } from '../../../support/service-stage.ts'

const KEEP_MS = 7 * 86_400_000
const A = '0000000a'
const B = '0000000b'
const event = (number: number): ImageEvent => deletedEvent(String(number).padStart(40, '0'), 1000 + number)

function setUp() {
  const memory = createMemoryStore()
  const clock = { ms: 1_800_000_000_000 }
  const troubles: string[] = []
  const meter = { trouble: (message: string) => void troubles.push(message) }
  const feed = createEventFeed({ store: memory, meter, now: () => clock.ms, keepMs: KEEP_MS })
  return {
    memory,
    clock,
    troubles,
    feed,
    /** Writes a batch as another process would. */
    async write(node: string, time: number, events: readonly ImageEvent[]) {
      const bytes = Buffer.from(formatBatch(events))
      await putBytes(memory, { key: batchKey({ time, node, number: 1 }), bytes, contentType: 'text/plain' }, never)
    },
    read: (after = '', limit = 1000) => feed.read({ after, limit, waitMs: 0 }, never),
    async readAll(after = '', limit = 1000) {
      const events: ImageEvent[] = []
      let cursor = after
      for (;;) {
        const page = await feed.read({ after: cursor, limit, waitMs: 0 }, never)
        cursor = page.cursor
        if (page.events.length === 0) return { events, cursor }
        events.push(...page.events)
      }
    },
  }
}

test('Each event is read once, in the order of the batches, whatever the size of a page', async () => {
  const stage = setUp()
  const { ms } = stage.clock
  const events = Array.from({ length: 100 }, (_, number) => event(number))
  for (let at = 0; at < 100; at += 2)
    await stage.write(at % 4 === 0 ? A : B, ms - 100_000 + at, events.slice(at, at + 2))
  for (const limit of [1, 3, 40, 1000]) {
    const { events: read, cursor } = await stage.readAll('', limit)
    assert.deepEqual(read, events, `limit ${limit}`)
    assert.deepEqual((await stage.read(cursor)).events, [])
  }
})

test('A batch that appears within the horizon is read, also behind the position of the consumer', async () => {
  const stage = setUp()
  const { ms } = stage.clock
  await stage.write(A, ms, [event(1)])
  const { cursor } = await stage.read()
  await stage.write(B, ms - HORIZON_MS + 1000, [event(2)])
  stage.clock.ms += 500
  const late = await stage.read(cursor)
  assert.deepEqual(late.events, [event(2)])
  assert.deepEqual((await stage.read(late.cursor)).events, [])
})

test('A node whose clock is an hour ahead hides no event of the others', async () => {
  const stage = setUp()
  await stage.write(A, stage.clock.ms + 3_600_000, [event(1)])
  let { cursor } = await stage.readAll()
  for (let minute = 0; minute < 60; minute += 1) {
    stage.clock.ms += 60_000
    await stage.write(B, stage.clock.ms, [event(10 + minute)])
    const page = await stage.readAll(cursor)
    assert.deepEqual(page.events, [event(10 + minute)])
    cursor = page.cursor
  }
})

test('The cursor of a consumer that reads does not grow with the processes of the past', async () => {
  const stage = setUp()
  let cursor = ''
  for (let node = 0; node < 200; node += 1) {
    stage.clock.ms += 60_000
    await stage.write(node.toString(16).padStart(8, '0'), stage.clock.ms, [event(node)])
    cursor = (await stage.readAll(cursor)).cursor
  }
  assert.ok((parseCursor(cursor)?.positions.size ?? 99) <= 10)
})

test('A malformed cursor is refused; one that is too old too, with the oldest that is valid', async () => {
  const stage = setUp()
  await stage.write(A, stage.clock.ms, [event(1)])
  const { cursor } = await stage.readAll()
  await assert.rejects(stage.read('nonsense'), { code: 'invalid_cursor' })
  stage.clock.ms += KEEP_MS + 2 * 3_600_000
  await stage.write(A, stage.clock.ms, [event(2)])
  let oldest = ''
  await assert.rejects(stage.read(cursor), (error: { code: string; oldest: string }) => {
    oldest = error.oldest
    return error.code === 'cursor_expired'
  })
  assert.deepEqual((await stage.read(oldest)).events, [event(2)])
})

test('Only batches older than the retention are deleted, and a consumer that reads never expires', async () => {
  const stage = setUp()
  const day = 86_400_000
  let cursor = ''
  for (let number = 0; number < 12; number += 1) {
    await stage.write(A, stage.clock.ms, [event(number)])
    const page = await stage.readAll(cursor)
    assert.deepEqual(page.events, [event(number)])
    cursor = page.cursor
    stage.clock.ms += day
    await stage.feed.trim(never)
  }
  const left = [...stage.memory.objects.keys()].filter((key) => key.startsWith(OUTBOX_PREFIX))
  assert.equal(left.length, 7)
})

test('A request without new events waits, and a batch of this process ends the wait at once', async () => {
  const stage = setUp()
  const { cursor } = await stage.read()
  const waiting = stage.feed.read({ after: cursor, limit: 10, waitMs: 60_000 }, never)
  while (stage.feed.counters.waiting === 0) await new Promise(setImmediate)
  await stage.write(A, stage.clock.ms, [event(1)])
  stage.feed.wake()
  assert.deepEqual((await waiting).events, [event(1)])
  assert.equal(stage.feed.counters.waiting, 0)
})

test('The end of the process and of the client end the wait', async () => {
  const stage = setUp()
  const client = new AbortController()
  const request = { after: '', limit: 10, waitMs: 60_000 }
  const gone = stage.feed.read(request, client.signal)
  const stopped = stage.feed.read(request, never)
  while (stage.feed.counters.waiting < 2) await new Promise(setImmediate)
  client.abort(new Error('gone'))
  await assert.rejects(gone, /gone/)
  stage.feed.stop()
  assert.deepEqual((await stopped).events, [])
})

/** Flips a bit of the first object whose key has this prefix. */
function damage({ objects }: ReturnType<typeof createMemoryStore>, prefix: string, offset: number): void {
  for (const [key, found] of objects) {
    if (!key.startsWith(prefix)) continue
    const bytes = Buffer.from(found.bytes)
    bytes[offset] = (bytes[offset] ?? 0) ^ 1
    objects.set(key, { ...found, bytes })
    return
  }
}

test('A flipped bit in a batch loses no event: they are made again of their keys and the records', async () => {
  const stage = createStage()
  const { record } = await stage.upload(original())
  const troubles: string[] = []
  const feed = createEventFeed({
    store: stage.memory,
    meter: { trouble: (message) => void troubles.push(message) },
    now: () => stage.clock.ms,
    keepMs: KEEP_MS,
  })
  damage(stage.memory, OUTBOX_PREFIX, 30)
  for (let times = 0; times < 2; times += 1) {
    const { events } = await feed.read({ after: '', limit: 10, waitMs: 0 }, never)
    assert.deepEqual(events, [storedEvent(record)])
  }
  assert.deepEqual([feed.counters.damagedBatches, feed.counters.incompleteBatches, troubles.length], [1, 0, 1])
})

test('A batch that is lost beyond repair is reported, and the rest of the feed goes on', async () => {
  const stage = setUp()
  await stage.write(A, stage.clock.ms, [event(1)])
  await stage.write(B, stage.clock.ms, [event(2)])
  const key = batchKey({ time: stage.clock.ms, node: A, number: 1 })
  await putBytes(stage.memory, { key, bytes: Buffer.from('{"cut'), contentType: 'text/plain', overwrite: true }, never)
  assert.deepEqual((await stage.readAll()).events, [event(2)])
  assert.equal(stage.feed.counters.incompleteBatches, 1)
  assert.match(stage.troubles.join(), /some of its events may be missing/)
})
