import assert from 'node:assert/strict'
import { test } from 'node:test'
import { advance, type EventCursor, HORIZON_MS, isRead } from '../../../../src/domain/stored/event-cursor.ts'
import { batchKey } from '../../../../src/domain/stored/outbox-batch.ts'
import { createOutboxListing } from '../../../../src/service/library/outbox-listing.ts'
import { never } from '../../../support/service-stage.ts'

const START = 1_800_000_000_000
const A = '0000000a'
const B = '0000000b'

/** A store that has only names, and counts the pages of 1000 keys that it lists. */
function setUp(times: readonly number[]) {
  const keys = times.map((time, index) => batchKey({ time, node: A, number: index + 1 }))
  const clock = { ms: START }
  const listed = { pages: 0 }
  const store = {
    async *list(_prefix: string, after: string) {
      const found = keys.toSorted().filter((key) => key > after)
      listed.pages += 1
      for (const [index, key] of found.entries()) {
        if (index > 0 && index % 1000 === 0) listed.pages += 1
        yield key
      }
    },
  }
  return {
    clock,
    listed,
    listing: createOutboxListing(store, () => clock.ms),
    add: (node: string, time: number) => void keys.push(batchKey({ time, node, number: 1 })),
  }
}

const everyTenth = (count: number): readonly number[] =>
  Array.from({ length: count }, (_, index) => START - (count - index) * 100)
const from = (floor: number): EventCursor => ({ floor, positions: new Map() })

test('A consumer that is far behind reads thousands of batches by few pages of listings', async () => {
  const { listing, listed } = setUp(everyTenth(12_000))
  let cursor = from(START - 2_000_000)
  let read = 0
  for (let isMore = true; isMore; ) {
    const { names, lookedAt } = await listing.unread(cursor, 10, never)
    read += names.length
    isMore = names.length > 0
    cursor = advance(cursor, names, Math.min(lookedAt, names.at(-1)?.time ?? 0))
  }
  assert.equal(read, 12_000)
  // Without a listing that is used again, each of the 1200 pages of the consumer lists up to six.
  assert.ok(listed.pages <= 100, `${listed.pages} pages`)
})

test('A slow consumer that is far behind does not cause a listing every ten seconds', async () => {
  const { listing, listed, clock } = setUp(everyTenth(12_000).map((time) => time - 2 * HORIZON_MS))
  let cursor = from(START - 4_000_000)
  for (let turn = 0; turn < 100; turn += 1) {
    const { names, lookedAt } = await listing.unread(cursor, 5, never)
    assert.equal(names.length, 5)
    cursor = advance(cursor, names, Math.min(lookedAt, names.at(-1)?.time ?? 0))
    clock.ms += 11_000
  }
  assert.ok(listed.pages <= 3, `${listed.pages} pages`)
})

test('A consumer that follows 12,000 batches finds the next ones by listing their tail', async () => {
  const { listing, listed, clock, add } = setUp(everyTenth(12_000))
  const first = await listing.unread(from(START - 2_000_000), 10_000, never)
  let cursor = advance(from(START - HORIZON_MS), first.names, START)
  cursor = advance(cursor, (await listing.unread(cursor, 10_000, never)).names, START)
  listed.pages = 0
  for (let turn = 1; turn <= 50; turn += 1) {
    clock.ms += 100
    add(B, clock.ms)
    const { names, isWhole } = await listing.unread(cursor, 100, never)
    assert.deepEqual([names.map(({ time }) => time), isWhole], [[clock.ms], true])
    cursor = advance(cursor, names, START)
  }
  assert.ok(listed.pages <= 50 + 12, `${listed.pages} pages`)
})

test('A batch that appears before the tail is found ten seconds later, and is not passed over before', async () => {
  const { listing, clock, add } = setUp(everyTenth(12_000))
  let cursor = from(START - HORIZON_MS)
  const all = await listing.unread(cursor, 10_000, never)
  cursor = advance(cursor, all.names, all.lookedAt)
  const late = START - HORIZON_MS + 12_000
  add(B, late)
  for (const ms of [0, 5000, 4999]) {
    clock.ms += ms
    const { names, isWhole, lookedAt } = await listing.unread(cursor, 100, never)
    assert.deepEqual([names, isWhole], [[], true])
    cursor = advance(cursor, [], lookedAt)
    assert.equal(isRead(cursor, { time: late, node: B, number: 1 }), false)
  }
  clock.ms += 1
  assert.deepEqual(
    (await listing.unread(cursor, 100, never)).names.map(({ node }) => node),
    [B],
  )
})

test('A short listing is made again for each request', async () => {
  const { listing, add } = setUp(everyTenth(100))
  const { names, lookedAt } = await listing.unread(from(START - 100_000), 1000, never)
  const cursor = advance(from(START - 100_000), names, lookedAt)
  add(B, START - 60_000)
  assert.equal((await listing.unread(cursor, 1000, never)).names.length, 1)
})
