import { createAgeHistogram, type Shortage } from './sweep-plan.ts'

// Files with a low benefit per byte are removed first: those that are large, were read rarely, and were last read long ago. The
// count of reads is in the times of a file, so that it survives a restart and costs no table.

/** Reads above this number make no difference. */
const MAX_READS = 7

/** Each counted read lets a file stay this much longer, as a multiple of the time that an unread file of its size stays. */
const WORTH_OF_READ = 2

/** Time after its publication in which a read is that of the request that caused it, ms. */
const OWN_READ_MS = 1000

/**
 * With `relatime` the kernel renews an access time once a day, or if the file was changed since. A mark is such a change, so that the
 * next read is recorded. A file with the maximum count is marked only beyond this share of the limit for its removal.
 */
const MARKED_FROM = 0.5

/** Smallest size that counts, bytes: a block. Some file systems store small files without one. */
const LEAST_BYTES = 4096

/** What the kernel records of a file. Times are ms since 1970. */
export interface FileFacts {
  readonly atimeMs: number
  readonly ctimeMs: number
  readonly mtimeMs: number
  /** Disk usage, in units of 512 bytes. */
  readonly blocks: number
}

/** Counted reads after the publication, 0 to 7, as the milliseconds of a file's mtime record them. */
export function recordedReads({ mtimeMs }: Pick<FileFacts, 'mtimeMs'>): number {
  const part = Math.round((mtimeMs % 1000) * 100) / 100
  return Number.isInteger(part) && part <= MAX_READS ? part : 0
}

/** The mtime that records a number of reads, ms. The seconds, which HTTP validators use, stay. */
export function markedMtime({ mtimeMs }: Pick<FileFacts, 'mtimeMs'>, reads: number): number {
  return Math.floor(mtimeMs / 1000) * 1000 + reads
}

/** What a sweep does with a file: remove it, leave it alone, or record this number of reads, so that the next read counts. */
export type Verdict = 'remove' | 'keep' | number

export interface EvictionPlan {
  decide(file: FileFacts): Verdict
  /** To be called with the space that each removal has actually freed. */
  freed(file: FileFacts, bytes: number, inodes: number): void
}

/** Counts files in their order of eviction, in constant memory. */
export interface EvictionCounts {
  add(file: FileFacts, bytes: number, inodes: number): void
  plan(shortage: Shortage): EvictionPlan
}

export function createEvictionCounts(nowMs: number): EvictionCounts {
  const histogram = createAgeHistogram()

  return {
    add: (file, bytes, inodes) => histogram.add(weightedAge(file, nowMs), bytes, inodes),
    plan(shortage) {
      const cutOff = histogram.cutOff(shortage)
      return {
        decide(file) {
          const age = weightedAge(file, nowMs)
          if (cutOff.removes(age)) return 'remove'
          if (file.atimeMs <= file.ctimeMs) return 'keep'
          const isAtMost = recordedReads(file) === MAX_READS
          return isAtMost && age < cutOff.ageMs * MARKED_FROM ? 'keep' : readsOf(file)
        },
        freed: (file, bytes, inodes) => cutOff.freed(weightedAge(file, nowMs), bytes, inodes),
      }
    },
  }
}

/** Time since the last read, multiplied by the size, and divided by the worth of the reads: the order of eviction, ms. */
function weightedAge(file: FileFacts, nowMs: number): number {
  const bytes = Math.max(LEAST_BYTES, file.blocks * 512)
  return ((nowMs - file.atimeMs) * bytes) / LEAST_BYTES / (1 + WORTH_OF_READ * readsOf(file))
}

function readsOf(file: FileFacts): number {
  const isReadAgain = file.atimeMs - file.ctimeMs > OWN_READ_MS
  return Math.min(MAX_READS, recordedReads(file) + (isReadAgain ? 1 : 0))
}
