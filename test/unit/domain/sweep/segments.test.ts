import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSegmentCounts, type FileTimes, markedMtime, segmentOf } from '../../../../src/domain/sweep/segments.ts'

const HOUR_MS = 3_600_000
const NOW_MS = Date.UTC(2030, 0, 1)
const PIPELINE_MS = Date.UTC(2020, 0, 1)
const MAX_AGE_MS = 30 * 24 * HOUR_MS

const hoursAgo = (hours: number) => NOW_MS - hours * HOUR_MS

/** Sent to the request that caused it, and not read again. */
const viewedOnce = (hours: number): FileTimes => ({
  ctimeMs: hoursAgo(hours),
  atimeMs: hoursAgo(hours) + 5,
  mtimeMs: PIPELINE_MS,
})
const readAgain = (published: number, read: number): FileTimes => ({
  ctimeMs: hoursAgo(published),
  atimeMs: hoursAgo(read),
  mtimeMs: PIPELINE_MS,
})
/** Marked so many hours ago, and not read since; last read before that. */
const established = (marked: number, read: number): FileTimes => ({
  ctimeMs: hoursAgo(marked),
  atimeMs: hoursAgo(read),
  mtimeMs: PIPELINE_MS + 1,
})

/** Verdicts for files of 10 bytes each. */
function decide(files: readonly FileTimes[], shortageBytes: number) {
  const counts = createSegmentCounts(NOW_MS, MAX_AGE_MS)
  for (const times of files) counts.add(times, 10, 1)
  const plan = counts.plan({ bytes: shortageBytes, inodes: 0, reasons: ['max_bytes'] }, files.length * 10)
  return files.map((times) => {
    const verdict = plan.decide(times)
    if (verdict === 'remove') plan.freed(times, 10, 1)
    return verdict
  })
}

test('a segment is in the milliseconds of the mtime, and leaves the seconds as they are', () => {
  for (const segment of ['established', 'demoted', 'probation'] as const) {
    const mtimeMs = markedMtime(viewedOnce(1), segment)
    assert.equal(segmentOf({ ...viewedOnce(1), mtimeMs }), segment)
    assert.equal(Math.floor(mtimeMs / 1000), PIPELINE_MS / 1000)
  }
  // The time at which an original was written.
  assert.equal(segmentOf({ ...viewedOnce(1), mtimeMs: PIPELINE_MS + 371.2345 }), 'probation')
})

test('files that were viewed once are removed before older ones that were read again', () => {
  const files = [readAgain(200, 100), viewedOnce(50), viewedOnce(40), viewedOnce(30)]
  assert.deepEqual(decide(files, 15), ['established', 'remove', 'remove', 'probation'])
})

test('without enough of them, the established files that were read the longest ago are removed', () => {
  const files = [viewedOnce(1), established(80, 90), readAgain(100, 70), established(60, 65)]
  assert.deepEqual(decide(files, 20).slice(0, 2), ['remove', 'remove'])
})

test('above three quarters of the bytes, the oldest established files that were not read again are demoted', () => {
  const files = [
    ...Array.from({ length: 9 }, (_, index) => established(10 + index, 20 + index)),
    viewedOnce(5),
    viewedOnce(4),
  ]
  const verdicts = decide(files, 10)
  assert.deepEqual(verdicts.slice(0, 9), ['keep', 'keep', 'keep', 'keep', 'keep', 'keep', 'keep', 'demoted', 'demoted'])
  assert.deepEqual(verdicts.slice(9), ['remove', 'probation'])
})

test('a demoted file is as old as its demotion, and established again by a read', () => {
  const demoted = { ctimeMs: hoursAgo(1), atimeMs: hoursAgo(100), mtimeMs: PIPELINE_MS + 2 }
  assert.deepEqual(decide([demoted, viewedOnce(50)], 5), ['keep', 'remove'])
  assert.deepEqual(decide([{ ...demoted, atimeMs: hoursAgo(0.5) }, viewedOnce(50), viewedOnce(2)], 5), [
    'established',
    'remove',
    'probation',
  ])
})

test('a file that nothing was read of since its mark needs no other mark', () => {
  assert.deepEqual(decide([{ ...viewedOnce(3), atimeMs: hoursAgo(4) }, viewedOnce(50)], 5), ['keep', 'remove'])
})
