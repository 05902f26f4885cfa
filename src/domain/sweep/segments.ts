import { type AgeHistogram, type CutOff, createAgeHistogram, type Shortage } from './sweep-plan.ts'

// Segmented LRU over access times: pictures that were viewed once do not evict those that are viewed again. The segment of a file
// is in its times, so that it survives a restart and costs no table. The order within a segment is that of the last read.

/**
 * - `probation`: not read again since its publication, as far as known.
 * - `established`: read again.
 * - `demoted`: was established; on probation again from the time of its demotion.
 */
export type Segment = 'probation' | 'established' | 'demoted'

/** The part of a second in a file's mtime that marks its segment, ms. The seconds, which HTTP validators use, stay. */
const MARKS_MS = { probation: 0, established: 1, demoted: 2 } as const

/** Share of the bytes that established files may use; above it, the oldest are demoted. */
const ESTABLISHED_SHARE = 0.75

/** Time after its publication in which a read is that of the request that caused it, ms. */
const OWN_READ_MS = 1000

/**
 * With `relatime` the kernel renews an access time once a day, or if the file was changed since. A file older than this share of the age
 * limit is marked, which is such a change, so that the next read counts.
 */
const EXPECTED_FROM = 0.5

/** Times of a file, ms since 1970. */
export interface FileTimes {
  readonly atimeMs: number
  readonly ctimeMs: number
  readonly mtimeMs: number
}

export function segmentOf({ mtimeMs }: FileTimes): Segment {
  const part = Math.round((mtimeMs % 1000) * 100) / 100
  if (part === MARKS_MS.established) return 'established'
  return part === MARKS_MS.demoted ? 'demoted' : 'probation'
}

/** The mtime that marks a segment, ms. */
export function markedMtime({ mtimeMs }: FileTimes, segment: Segment): number {
  return Math.floor(mtimeMs / 1000) * 1000 + MARKS_MS[segment]
}

/** What a sweep does with a file: remove it, leave it alone, or mark its segment so that the next read counts. */
export type Verdict = 'remove' | 'keep' | Segment

export interface EvictionPlan {
  decide(times: FileTimes): Verdict
  /** To be called with the space that each removal has actually freed. */
  freed(times: FileTimes, bytes: number, inodes: number): void
}

/** Counts files by segment and age, in constant memory. */
export interface SegmentCounts {
  add(times: FileTimes, bytes: number, inodes: number): void
  /** @param usedBytes Of all files, those that were not added included. */
  plan(shortage: Shortage, usedBytes: number): EvictionPlan
}

/** @param maxAgeMs Files older than this count as equally old. */
export function createSegmentCounts(nowMs: number, maxAgeMs: number): SegmentCounts {
  const probation = createAgeHistogram(maxAgeMs)
  const established = createAgeHistogram(maxAgeMs)
  const histogramOf = (times: FileTimes): AgeHistogram => (isEstablished(times) ? established : probation)

  return {
    add: (times, bytes, inodes) => histogramOf(times).add(ageOf(times, nowMs), bytes, inodes),
    plan(shortage, usedBytes) {
      const cutOff = {
        probation: probation.cutOff(shortage),
        established: established.cutOff(probation.rest(shortage)),
      }
      const excess = established.bytes - ESTABLISHED_SHARE * (usedBytes - shortage.bytes)
      const demotion = established.cutOff({ bytes: excess, inodes: 0, reasons: [] })
      const cutOffOf = (times: FileTimes): CutOff => (isEstablished(times) ? cutOff.established : cutOff.probation)
      return {
        decide(times) {
          const ageMs = ageOf(times, nowMs)
          if (cutOffOf(times).removes(ageMs)) return 'remove'
          if (!isEstablished(times)) return times.atimeMs > times.ctimeMs ? segmentOf(times) : 'keep'
          if (segmentOf(times) !== 'established') return 'established'
          if (demotion.removes(ageMs) && !isReadAgain(times)) return 'demoted'
          return isExpected(times, ageMs, demotion) ? 'established' : 'keep'
        },
        freed: (times, bytes, inodes) => cutOffOf(times).freed(ageOf(times, nowMs), bytes, inodes),
      }
    },
  }
}

function isEstablished(times: FileTimes): boolean {
  return segmentOf(times) === 'established' || isReadAgain(times)
}

function isReadAgain({ atimeMs, ctimeMs }: FileTimes): boolean {
  return atimeMs - ctimeMs > OWN_READ_MS
}

/** Whether the next read of a file has to count, and would not. */
function isExpected({ atimeMs, ctimeMs }: FileTimes, ageMs: number, { ageMs: limitMs }: CutOff): boolean {
  return atimeMs > ctimeMs && ageMs > limitMs * EXPECTED_FROM
}

/** Time since the last read that counts, or since the demotion. */
function ageOf(times: FileTimes, nowMs: number): number {
  const isDemoted = segmentOf(times) === 'demoted' && !isReadAgain(times)
  return nowMs - (isDemoted ? times.ctimeMs : times.atimeMs)
}
