import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAgeHistogram, planClock, planLimits, planShortage } from '../../../../src/domain/sweep/sweep-plan.ts'

const DAY_MS = 86_400_000
const NOW_MS = Date.UTC(2030, 0, 1)
const DISK = { totalBytes: 1000, freeBytes: 500, totalInodes: 1000, freeInodes: 500 }
const LIMITS = { maxIdleMs: 30 * DAY_MS, maxBytes: 100, minFreeBytes: 97, minFreeInodes: 97 }

test('limits that nobody set follow from the size of the disk', () => {
  assert.deepEqual(planLimits({ maxIdleDays: 30 }, DISK), {
    maxIdleMs: 30 * DAY_MS,
    maxBytes: 100,
    minFreeBytes: 50,
    minFreeInodes: 50,
  })
})

test('limits that were set hold, and a percentage holds for inodes too', () => {
  const limits = planLimits({ maxIdleDays: 2, maxBytes: 7, minFreeBytes: 8, minFreePercent: 2 }, DISK)
  assert.deepEqual(limits, { maxIdleMs: 2 * DAY_MS, maxBytes: 7, minFreeBytes: 8, minFreeInodes: 20 })
})

test('an idle time that relatime makes meaningless is refused', () => {
  for (const maxIdleDays of [1.9, 0, -1, Number.NaN]) {
    assert.throws(() => planLimits({ maxIdleDays }, DISK), RangeError)
  }
})

const SHORTAGES = {
  'within all budgets nothing must go': { used: 100, disk: DISK, expected: { bytes: 0, inodes: 0, reasons: [] } },
  'over its bytes the cache goes down to 97 % of them': {
    used: 101,
    disk: DISK,
    expected: { bytes: 4, inodes: 0, reasons: ['max_bytes'] },
  },
  'a disk with too little free gets 3 % more than wanted': {
    used: 50,
    disk: { ...DISK, freeBytes: 80 },
    expected: { bytes: 20, inodes: 0, reasons: ['free_bytes'] },
  },
  'the greater of two shortages of bytes counts': {
    used: 200,
    disk: { ...DISK, freeBytes: 80 },
    expected: { bytes: 103, inodes: 0, reasons: ['max_bytes', 'free_bytes'] },
  },
  'inodes run out by themselves': {
    used: 50,
    disk: { ...DISK, freeInodes: 0 },
    expected: { bytes: 0, inodes: 100, reasons: ['free_inodes'] },
  },
  'a file system that makes inodes as needed is never short of them': {
    used: 50,
    disk: { ...DISK, totalInodes: 0, freeInodes: 0 },
    expected: { bytes: 0, inodes: 0, reasons: [] },
  },
} as const
for (const [name, { used, disk, expected }] of Object.entries(SHORTAGES)) {
  test(name, () => assert.deepEqual(planShortage(used, disk, LIMITS), expected))
}

test('an hour between sweeps is no jump of the clock', () => {
  const previous = { sweptAtMs: NOW_MS - 3_600_000, gapMs: 3_600_000, notBeforeMs: 0 }
  assert.deepEqual(planClock(previous, NOW_MS, 30 * DAY_MS), {
    sweptAtMs: NOW_MS,
    gapMs: 3_600_000,
    notBeforeMs: 0,
    jumped: false,
  })
})

test('after a jump ahead nothing was idle before it, and later sweeps remember that', () => {
  const previous = { sweptAtMs: NOW_MS - 400 * DAY_MS, gapMs: 3_600_000, notBeforeMs: 0 }
  const jumped = planClock(previous, NOW_MS, 30 * DAY_MS)
  assert.deepEqual([jumped.jumped, jumped.notBeforeMs], [true, NOW_MS])
  const next = planClock(jumped, NOW_MS + 3_600_000, 30 * DAY_MS)
  assert.deepEqual([next.jumped, next.notBeforeMs], [false, NOW_MS])
})

test('sweeps that are always far apart expire files from the second on', () => {
  const first = planClock({ sweptAtMs: NOW_MS, gapMs: 0, notBeforeMs: 0 }, NOW_MS + 7 * DAY_MS, 2 * DAY_MS)
  const second = planClock(first, NOW_MS + 14 * DAY_MS, 2 * DAY_MS)
  assert.deepEqual([first.jumped, second.jumped, second.notBeforeMs], [true, false, NOW_MS + 7 * DAY_MS])
})

test('a clock that was set back does not put off expiry until the time that it had come to', () => {
  const previous = { sweptAtMs: NOW_MS + 400 * DAY_MS, gapMs: 3_600_000, notBeforeMs: NOW_MS + 400 * DAY_MS }
  const { jumped, notBeforeMs, gapMs } = planClock(previous, NOW_MS, 30 * DAY_MS)
  assert.deepEqual({ jumped, notBeforeMs, gapMs }, { jumped: false, notBeforeMs: NOW_MS, gapMs: 0 })
})

/** Removes files in the order given, as a walk meets them, and tells the cut-off of it. */
function removedBy(agesMs: readonly number[], shortage: { bytes: number; inodes: number }): number[] {
  const histogram = createAgeHistogram()
  for (const ageMs of agesMs) histogram.add(ageMs, 10, 1)
  const cutOff = histogram.cutOff({ ...shortage, reasons: [] })
  return agesMs.filter((ageMs) => {
    const removed = cutOff.removes(ageMs)
    if (removed) cutOff.freed(ageMs, 10, 1)
    return removed
  })
}

test('the oldest go first, and no more of them than needed', () => {
  const agesMs = [5, 20, 1, 10, 29].map((days) => days * DAY_MS)
  assert.deepEqual(removedBy(agesMs, { bytes: 15, inodes: 0 }), [20 * DAY_MS, 29 * DAY_MS])
  assert.deepEqual(removedBy(agesMs, { bytes: 0, inodes: 1 }), [29 * DAY_MS])
  assert.deepEqual(removedBy(agesMs, { bytes: 5, inodes: 3 }), [20 * DAY_MS, 10 * DAY_MS, 29 * DAY_MS])
})

test('of files that were all used within a minute the oldest go first too', () => {
  const agesMs = [30, 41, 10, 40, 55, 12].map((seconds) => seconds * 1000)
  assert.deepEqual(removedBy(agesMs, { bytes: 25, inodes: 0 }), [41_000, 40_000, 55_000])
})

test('of files with the same access time only as many go as are needed', () => {
  const agesMs = Array.from({ length: 100 }, () => DAY_MS)
  assert.equal(removedBy(agesMs, { bytes: 95, inodes: 0 }).length, 10)
})

test('very old files and files from the future have a place in the order', () => {
  const agesMs = [-400 * DAY_MS, 900 * DAY_MS, DAY_MS]
  assert.deepEqual(removedBy(agesMs, { bytes: 5, inodes: 0 }), [900 * DAY_MS])
  assert.deepEqual(removedBy(agesMs, { bytes: 20, inodes: 0 }), [900 * DAY_MS, DAY_MS])
})

test('a need that all files together cannot meet takes all of them', () => {
  const agesMs = [DAY_MS, 0, 2 * DAY_MS]
  assert.deepEqual(removedBy(agesMs, { bytes: 31, inodes: 0 }), agesMs)
})

test('without a shortage nothing goes', () => {
  assert.deepEqual(removedBy([DAY_MS, 90 * DAY_MS], { bytes: 0, inodes: 0 }), [])
})
