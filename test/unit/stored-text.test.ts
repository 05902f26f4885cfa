import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatRecord, type ImageRecord, parseRecord } from '../../src/domain/info/image-record.ts'
import { INPUT_FORMATS } from '../../src/domain/spec/image-format.ts'
import { formatDeletionMark, isUnderWay, parseDeletionMark } from '../../src/domain/stored/store-layout.ts'

const NOW = 1_800_000_000_000
const RECORD: ImageRecord = {
  id: '3f2a'.padEnd(40, '0'),
  width: 4000,
  height: 3000,
  format: 'jpeg',
  bytes: 123_456,
  alpha: false,
  frames: 1,
  uploadedAt: '2030-01-01T00:00:00.000Z',
}
const counts = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })
const records: fc.Arbitrary<ImageRecord> = fc
  .record({
    width: counts,
    height: counts,
    format: fc.constantFrom(...INPUT_FORMATS),
    bytes: counts,
    alpha: fc.boolean(),
    frames: counts,
  })
  .map((facts) => ({ ...RECORD, ...facts }))

test('Parsing and formatting a record are inverses', () => {
  fc.assert(fc.property(records, (record) => assert.deepEqual(parseRecord(formatRecord(record)), record)))
})

test('The details of an upload are part of its record, and what is no label is left out', () => {
  const details = { labels: ['cats', '2026'], name: 'cat.jpg', source: 'ftp:alice' }
  assert.deepEqual(parseRecord(formatRecord({ ...RECORD, ...details })), { ...RECORD, ...details })
  assert.deepEqual(parseRecord(JSON.stringify({ ...RECORD, labels: ['../x', 3], name: 5, source: '' })), RECORD)
})

test('A record of a later version is read without what is not known of it', () => {
  assert.deepEqual(parseRecord(JSON.stringify({ ...RECORD, colours: 3, __proto__: { x: 1 } })), RECORD)
})

const NO_RECORDS = {
  nothing: '',
  'half a record': formatRecord(RECORD).slice(0, -5),
  null: 'null',
  'a list': `[${formatRecord(RECORD)}]`,
  'a text': '"record"',
  'a record without an id': JSON.stringify({ ...RECORD, id: undefined }),
  'a record with an id in capitals': JSON.stringify({ ...RECORD, id: RECORD.id.toUpperCase() }),
  'a record of no width': JSON.stringify({ ...RECORD, width: 0 }),
  'a record of half a pixel': JSON.stringify({ ...RECORD, height: 0.5 }),
  'a record with a width in letters': JSON.stringify({ ...RECORD, width: '4000' }),
  'a record of no format of ours': JSON.stringify({ ...RECORD, format: 'bmp' }),
  'a record of another alpha': JSON.stringify({ ...RECORD, alpha: 0 }),
  'a record without a time': JSON.stringify({ ...RECORD, uploadedAt: null }),
} as const
for (const [name, text] of Object.entries(NO_RECORDS)) {
  test(`Of ${name} no record is read`, () => assert.equal(parseRecord(text), undefined))
}

test('Parsing and formatting the mark of a deletion are inverses', () => {
  fc.assert(
    fc.property(fc.record({ time: fc.nat(), finished: fc.boolean() }, { noNullPrototype: true }), (mark) => {
      assert.deepEqual(parseDeletionMark(formatDeletionMark(mark)), mark)
    }),
  )
})

test('A mark of any other shape is that of a finished deletion', () => {
  for (const text of ['', 'x', '{}', '{"time":1}', '{"finished":false}']) {
    assert.equal(parseDeletionMark(text).finished, true, text)
  }
})

test('A deletion is under way until it is finished, or for a minute if it never is', () => {
  assert.equal(isUnderWay({ time: NOW, finished: false }, NOW), true)
  assert.equal(isUnderWay({ time: NOW, finished: true }, NOW), false)
  assert.equal(isUnderWay({ time: NOW - 59_999, finished: false }, NOW), true)
  assert.equal(isUnderWay({ time: NOW - 60_000, finished: false }, NOW), false)
  assert.equal(isUnderWay({ time: NOW + 59_999, finished: false }, NOW), true, 'by a clock that is ahead')
})
