import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  cloudEvent,
  deletedEvent,
  eventId,
  type ImageEvent,
  rejectedEvent,
  storedEvent,
} from '../../../../src/domain/info/image-event.ts'
import {
  batchesSince,
  batchKey,
  formatBatch,
  parseBatch,
  parseBatchKey,
} from '../../../../src/domain/stored/outbox-batch.ts'

const ID = '3f2a'.padEnd(40, '0')
const RECORD = {
  id: ID,
  width: 4000,
  height: 3000,
  format: 'jpeg',
  bytes: 123_456,
  alpha: false,
  frames: 1,
  uploadedAt: '2030-01-01T00:00:00.000Z',
  labels: ['cats'],
} as const
const TIME = Date.parse(RECORD.uploadedAt)
const EVENTS: readonly ImageEvent[] = [
  storedEvent(RECORD),
  deletedEvent(ID, TIME + 5),
  rejectedEvent({
    path: 'alice/a\tb\n.jpg',
    source: 'alice',
    labels: ['news'],
    bytes: 17,
    error: 'original_broken',
    message: 'Cut',
    arrivedAt: TIME,
  }),
]

test('Keys of batches sort by time, and parse back', () => {
  const names = [
    { time: 0, node: '0123abcd', number: 1 },
    { time: TIME - 1, node: 'ffffffff', number: 20 },
    { time: TIME, node: '00000000', number: 3 },
    { time: TIME + 3_600_000, node: '00000000', number: 4 },
  ]
  const keys = names.map(batchKey)
  assert.equal(keys[2], 'outbox/2030-01-01T00/001893456000000-00000000-3')
  assert.deepEqual(keys.toSorted(), keys)
  assert.deepEqual(keys.map(parseBatchKey), names)
  assert.ok(batchesSince(TIME) < batchKey({ time: TIME, node: '00000000', number: 0 }))
  assert.ok(batchesSince(TIME) > batchKey({ time: TIME - 1, node: 'ffffffff', number: 999 }))
  for (const other of ['outbox/', 'outbox/2030-01-01T01/001893456000000-00000000-3', 'labels/a/b'])
    assert.equal(parseBatchKey(other), undefined)
})

test('A batch parses back, with the ids of its events', () => {
  const { events, damaged, isComplete } = parseBatch(formatBatch(EVENTS))
  assert.deepEqual(events, EVENTS)
  assert.deepEqual([damaged, isComplete], [[], true])
})

test('With any one byte damaged, each event is intact or known by its key', () => {
  const bytes = Buffer.from(formatBatch(EVENTS))
  for (let at = 0; at < bytes.length; at += 1) {
    for (const bit of [0, 4, 5, 7]) {
      const copy = Buffer.from(bytes)
      copy[at] = (copy[at] ?? 0) ^ (1 << bit)
      const { events, damaged, isComplete } = parseBatch(copy.toString())
      const known = new Set([...events.map(({ id }) => id), ...damaged.map(eventId)])
      const isLost = EVENTS.some(({ id }) => !known.has(id))
      assert.ok(!isLost || !isComplete, `byte ${at}, bit ${bit}`)
      assert.ok(!isLost, `byte ${at}, bit ${bit}: an event is lost`)
    }
  }
})

test('A batch that is cut short is incomplete', () => {
  const text = formatBatch(EVENTS)
  for (const share of [0, 0.3, 0.5]) assert.ok(!parseBatch(text.slice(0, text.length * share)).isComplete)
})

test('The id of an event depends on the image and its version only', () => {
  assert.equal(storedEvent({ ...RECORD, labels: ['dogs'] }).id, EVENTS[0]?.id)
  assert.notEqual(storedEvent({ ...RECORD, uploadedAt: '2030-01-01T00:00:00.001Z' }).id, EVENTS[0]?.id)
  assert.notEqual(deletedEvent(ID, TIME).id, EVENTS[0]?.id)
})

test('An event is a CloudEvent with the record', () => {
  assert.deepEqual(cloudEvent(storedEvent(RECORD), 'https://img.example/images'), {
    specversion: '1.0',
    id: EVENTS[0]?.id,
    source: 'https://img.example/images',
    type: 'image.stored',
    subject: ID,
    time: RECORD.uploadedAt,
    datacontenttype: 'application/json',
    data: { version: TIME, ...RECORD },
  })
})
