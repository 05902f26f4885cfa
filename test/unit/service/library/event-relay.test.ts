import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import {
  CACHE_EVENTS,
  deletedEvent,
  type ImageEvent,
  keyEvent,
  purgedEvent,
} from '../../../../src/domain/info/image-event.ts'
import { batchKey, formatBatch } from '../../../../src/domain/stored/outbox-batch.ts'
import { formatSinkState, NEW_SINK, replayKey, sinkKey } from '../../../../src/domain/stored/relay-state.ts'
import { RemoteError } from '../../../../src/errors.ts'
import { createEventFeed } from '../../../../src/service/library/event-feed.ts'
import { createEventRelay } from '../../../../src/service/library/event-relay.ts'
import type { Sink, SinkRefusal } from '../../../../src/service/ports/sink.ts'
import { putBytes } from '../../../../src/service/tools/small-object.ts'
import { createMemoryStore } from '../../../support/memory-store.ts'
import { never } from '../../../support/service-stage.ts'

const Subjects = z.array(z.object({ subject: z.string() }))
const KEEP_MS = 7 * 86_400_000
const event = (number: number): ImageEvent => deletedEvent(String(number).padStart(40, '0'), 1000 + number)

/** A relay over a store in memory, and a sink that answers as told. */
function setUp(traits: Partial<Sink> = {}) {
  const store = createMemoryStore()
  const clock = { ms: 1_800_000_000_000 }
  const troubles: string[] = []
  const meter = { trouble: (message: string) => void troubles.push(message) }
  const now = () => clock.ms
  const lease = { isHeld: true, look: async () => {} }
  const posts: { readonly id: string; readonly events: readonly string[] }[] = []
  const sink = { answer: (): SinkRefusal | undefined => undefined }
  const relay = createEventRelay({
    sinks: [{ name: 'indexer', ...traits }],
    sender: {
      async send(_, { id, body }) {
        const answer = sink.answer()
        const events = Subjects.parse(JSON.parse(body))
        if (answer === undefined) posts.push({ id, events: events.map(({ subject }) => subject) })
        return answer
      },
    },
    lease,
    feed: createEventFeed({ store, meter, now, keepMs: KEEP_MS }),
    store,
    meter,
    eventSource: '/images',
    now,
    random: () => 0.5,
  })
  let batches = 0
  const writeEvents = async (events: readonly ImageEvent[]) => {
    batches += 1
    clock.ms += 1
    const key = batchKey({ time: clock.ms, node: '0000000a', number: batches })
    const bytes = Buffer.from(formatBatch(events))
    await putBytes(store, { key, bytes, contentType: 'text/plain' }, never)
  }
  return {
    store,
    clock,
    troubles,
    lease,
    posts,
    sink,
    relay,
    keys: (prefix: string) => [...store.objects.keys()].filter((key) => key.startsWith(prefix)),
    async write(...numbers: readonly number[]) {
      await writeEvents(numbers.map(event))
    },
    writeEvents,
    async wake() {
      relay.wake()
      while (relay.isBusy) await new Promise(setImmediate)
    },
    /** One look, and all deliveries that it starts. */
    async tick() {
      await relay.tick(never)
      while (relay.isBusy) await new Promise(setImmediate)
    },
    /** All events that the sink has accepted. */
    received: () => posts.flatMap(({ events }) => events),
  }
}

const subjects = (...numbers: readonly number[]) => numbers.map((number) => event(number).subject)

test('Events are delivered in order, in messages of some hundred, and once each', async () => {
  const stage = setUp()
  const numbers = Array.from({ length: 250 }, (_, number) => number)
  for (const number of numbers) await stage.write(number)
  await stage.tick()
  assert.deepEqual(stage.received(), subjects(...numbers))
  assert.deepEqual(
    stage.posts.map(({ events }) => events.length),
    [100, 100, 50],
  )
  await stage.tick()
  assert.equal(stage.posts.length, 3)
  assert.deepEqual([stage.relay.counters.delivered, stage.relay.counters.lagSeconds], [250, 0])
})

test('While a sink fails nothing is lost; the same message is attempted after a pause, then the rest', async () => {
  const stage = setUp()
  await stage.write(1)
  stage.sink.answer = () => {
    throw new RemoteError('remote_failed', 'The remote host is down')
  }
  await stage.tick()
  await stage.write(2)
  stage.sink.answer = () => undefined
  await stage.tick()
  assert.deepEqual(stage.received(), [], 'the pause is not over')
  assert.ok(stage.relay.counters.lagSeconds > 0)
  stage.clock.ms += 5000
  await stage.tick()
  assert.deepEqual(stage.received(), subjects(1, 2))
  assert.equal(stage.relay.counters.failedAttempts, 1)
})

test('Another node continues where the first one ended, and a node without the lease delivers nothing', async () => {
  const stage = setUp()
  await stage.write(1)
  await stage.tick()
  stage.lease.isHeld = false
  await stage.write(2)
  await stage.tick()
  assert.deepEqual(stage.received(), subjects(1))
  stage.lease.isHeld = true
  await stage.tick()
  assert.deepEqual(stage.received(), subjects(1, 2))
})

test('A node that loses the lease during a delivery leaves the progress to the other node', async () => {
  const stage = setUp()
  await stage.write(1)
  await stage.tick()
  const saved = stage.store.objects.get('relay/sinks/indexer.json')?.bytes.toString()
  await stage.write(2)
  // Frozen for longer than the lease, after the sink has received the message.
  stage.sink.answer = () => {
    stage.lease.isHeld = false
    return undefined
  }
  await stage.tick()
  assert.deepEqual(stage.received(), subjects(1, 2))
  assert.equal(stage.store.objects.get('relay/sinks/indexer.json')?.bytes.toString(), saved)
  stage.lease.isHeld = true
  stage.sink.answer = () => undefined
  await stage.tick()
  assert.deepEqual(stage.received(), subjects(1, 2, 2))
})

test('A message that a sink refuses each time becomes a dead letter, and the next ones are delivered', async () => {
  const stage = setUp()
  await stage.write(1)
  stage.sink.answer = () => ({ status: 422 })
  for (let times = 0; times < 4; times += 1) {
    await stage.tick()
    stage.clock.ms += 600_000
  }
  const [key = ''] = stage.keys('relay/dead/')
  assert.match(key, /^relay\/dead\/indexer\/2027-.*-msg_[0-9a-f]{32}\.json$/)
  const letter = Subjects.parse(JSON.parse(stage.store.objects.get(key)?.bytes.toString() ?? ''))
  assert.deepEqual(
    letter.map(({ subject }) => subject),
    subjects(1),
  )
  stage.sink.answer = () => undefined
  await stage.write(2)
  await stage.tick()
  assert.deepEqual(stage.received(), subjects(2))
  assert.deepEqual([stage.relay.counters.deadLetters, stage.relay.counters.failedAttempts], [1, 4])
})

test('A sink that answers 410 gets nothing until a replay, which begins where it says', async () => {
  const stage = setUp()
  await stage.write(1)
  await stage.tick()
  stage.sink.answer = () => ({ status: 410 })
  await stage.write(2)
  await stage.tick()
  stage.sink.answer = () => undefined
  stage.clock.ms += 86_400_000
  await stage.tick()
  assert.deepEqual(stage.received(), subjects(1))
  const replay = { key: replayKey('indexer'), bytes: Buffer.from(formatSinkState(NEW_SINK)), contentType: 'text/plain' }
  await putBytes(stage.store, replay, never)
  await stage.tick()
  assert.deepEqual(stage.received(), subjects(1, 1, 2))
  assert.deepEqual(stage.keys('relay/replay/'), [])
})

test('Events that are no longer kept are named as such, and the rest is delivered', async () => {
  const stage = setUp()
  await stage.write(1)
  await stage.tick()
  stage.clock.ms += 2 * KEEP_MS
  await stage.write(2)
  await stage.tick()
  assert.deepEqual(stage.received(), subjects(1, 2))
  assert.match(stage.troubles.join(), /no longer kept \(EVENTS_KEEP_DAYS\); compare its images with GET \/images/)
})

test('The cursor of a sink without events is saved from time to time, so that it does not expire', async () => {
  const stage = setUp()
  await stage.write(1)
  await stage.tick()
  for (let hours = 0; hours < 24 * 20; hours += 1) {
    stage.clock.ms += 3_600_001
    await stage.tick()
  }
  await stage.write(2)
  await stage.tick()
  assert.deepEqual(stage.received(), subjects(1, 2))
  assert.deepEqual(stage.troubles, [])
})

test('A sink with types receives these, and its cursor passes the others', async () => {
  const { writeEvents, tick, received, store } = setUp({ types: CACHE_EVENTS })
  const rejected = keyEvent({ type: 'image.rejected', subject: 'a.png', version: 1 })
  const purged = purgedEvent(`r${'0'.repeat(40)}`, 2)
  await writeEvents([rejected, event(1)])
  await writeEvents([purged])
  await tick()
  assert.deepEqual(received(), [event(1).subject, purged.subject])
  await writeEvents([rejected])
  const before = store.objects.get(sinkKey('indexer'))?.bytes.toString()
  await tick()
  assert.deepEqual(received().length, 2)
  assert.notEqual(store.objects.get(sinkKey('indexer'))?.bytes.toString(), before)
})

test('A delayed sink receives a batch when it is old enough, in time for each', async () => {
  const { write, tick, clock, posts, relay } = setUp({ delayMs: 5000 })
  await write(1)
  await tick()
  assert.deepEqual(posts, [])
  assert.equal(relay.counters.lagSeconds, 0)
  clock.ms += 4000
  await write(2)
  clock.ms += 1500
  await tick()
  assert.deepEqual(
    posts.map(({ events }) => events),
    [subjects(1)],
  )
  clock.ms += 4000
  await tick()
  assert.deepEqual(
    posts.map(({ events }) => events),
    [subjects(1), subjects(2)],
  )
})

test('A relay that is woken delivers at once if it has the lease, and another one does not', async () => {
  const { write, wake, lease, received } = setUp()
  await write(1)
  lease.isHeld = false
  await wake()
  assert.deepEqual(received(), [])
  lease.isHeld = true
  await wake()
  assert.deepEqual(received(), subjects(1))
})

test('A CDN is tried again after each refusal, and the age of what waits is known to a new process', async () => {
  const stage = setUp({ isCdn: true, types: CACHE_EVENTS })
  stage.sink.answer = () => ({ status: 410 })
  await stage.writeEvents([deletedEvent(event(1).subject, stage.clock.ms)])
  for (let attempts = 0; attempts < 20; attempts += 1) {
    await stage.tick()
    stage.clock.ms += 6 * 60_000
  }
  assert.deepEqual([stage.relay.counters.failedAttempts, stage.keys('relay/dead/')], [20, []])
  await stage.tick()
  const other = setUp({ isCdn: true, types: CACHE_EVENTS })
  for (const [key, object] of stage.store.objects) other.store.objects.set(key, object)
  other.clock.ms = stage.clock.ms + 1000
  await other.tick()
  assert.deepEqual(other.received(), [], 'it still waits for its time')
  assert.ok(other.relay.counters.lagSeconds >= 20 * 360)
  other.clock.ms += 6 * 60_000
  await other.tick()
  assert.deepEqual(other.received(), subjects(1))
})
