import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  createEvictionCounts,
  type FileFacts,
  markedMtime,
  recordedReads,
} from '../../../../src/domain/sweep/eviction-order.ts'

const HOUR_MS = 3_600_000
const NOW_MS = Date.UTC(2030, 0, 1)
const PIPELINE_MS = Date.UTC(2020, 0, 1)
/** A file of one block of 4 KiB, whose disk usage is counted in units of 512 bytes. */
const BLOCKS = 8

const hoursAgo = (hours: number) => NOW_MS - hours * HOUR_MS

/** Sent to the request that caused it, and not read again. */
const viewedOnce = (hours: number, blocks = BLOCKS): FileFacts => ({
  ctimeMs: hoursAgo(hours),
  atimeMs: hoursAgo(hours) + 5,
  mtimeMs: PIPELINE_MS,
  blocks,
})
const readAgain = (published: number, read: number): FileFacts => ({
  ctimeMs: hoursAgo(published),
  atimeMs: hoursAgo(read),
  mtimeMs: PIPELINE_MS,
  blocks: BLOCKS,
})
/** With so many reads recorded so many hours ago, and not read since; last read before that. */
const recorded = (reads: number, marked: number, read: number): FileFacts => ({
  ctimeMs: hoursAgo(marked),
  atimeMs: hoursAgo(read),
  mtimeMs: PIPELINE_MS + reads,
  blocks: BLOCKS,
})

function decide(files: readonly FileFacts[], shortageBytes: number) {
  const counts = createEvictionCounts(NOW_MS)
  for (const file of files) counts.add(file, file.blocks * 512, 1)
  const plan = counts.plan({ bytes: shortageBytes, inodes: 0, reasons: ['max_bytes'] })
  return files.map((file) => {
    const verdict = plan.decide(file)
    if (verdict === 'remove') plan.freed(file, file.blocks * 512, 1)
    return verdict
  })
}

test('the number of reads is in the milliseconds of the mtime, and leaves the seconds as they are', () => {
  for (const reads of [0, 1, 5, 7]) {
    const mtimeMs = markedMtime(viewedOnce(1), reads)
    assert.equal(recordedReads({ mtimeMs }), reads)
    assert.equal(Math.floor(mtimeMs / 1000), PIPELINE_MS / 1000)
  }
  // As futimes stores it.
  assert.equal(recordedReads({ mtimeMs: PIPELINE_MS + 2.9999 }), 3)
  // The time at which an original was written.
  for (const part of [371.2345, 8, 2.5]) assert.equal(recordedReads({ mtimeMs: PIPELINE_MS + part }), 0)
})

test('files that were viewed once are removed before older ones that were read again', () => {
  const files = [readAgain(200, 100), viewedOnce(50), viewedOnce(40), viewedOnce(30)]
  assert.deepEqual(decide(files, 6000), [1, 'remove', 'remove', 0])
})

test('each further read lets a file stay longer, up to seven', () => {
  // A third, a fifth, a fifteenth of their age count: 40, 36, 10 and 20 hours.
  const files = [recorded(1, 60, 120), recorded(2, 60, 180), recorded(7, 60, 150), viewedOnce(20)]
  assert.deepEqual(decide(files, 4096), ['remove', 'keep', 'keep', 0])
  assert.deepEqual(decide(files, 3 * 4096), ['remove', 'remove', 'keep', 'remove'])
  const busy = { ...recorded(7, 30, 30), atimeMs: hoursAgo(29) }
  assert.deepEqual(decide([busy, viewedOnce(3)], 4096), [7, 'remove'])
})

test('a large file is removed before a small one that was read longer ago', () => {
  const files = [viewedOnce(30), viewedOnce(10, 4 * BLOCKS), viewedOnce(5, 4 * BLOCKS)]
  assert.deepEqual(decide(files, 4096), [0, 'remove', 0])
})

test('a file without a block of its own counts like one with a block', () => {
  assert.deepEqual(decide([viewedOnce(30, 0), viewedOnce(40)], 4096), [0, 'remove'])
})

test('a file that was not read since its mark needs no other mark', () => {
  assert.deepEqual(decide([{ ...viewedOnce(3), atimeMs: hoursAgo(4) }, viewedOnce(50)], 4096), ['keep', 'remove'])
})

test('a file with the maximum count is marked only as its removal comes near', () => {
  const read = (hours: number): FileFacts => ({ ...recorded(7, hours + 1, hours), mtimeMs: PIPELINE_MS + 7 })
  // The limit is 10 hours for a file without reads, and 150 for these.
  const files = [read(30), read(100), viewedOnce(10)]
  assert.deepEqual(decide(files, 4096), ['keep', 7, 'remove'])
})
