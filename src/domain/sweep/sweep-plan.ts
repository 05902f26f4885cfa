const DAY_MS = 86_400_000

/**
 * Minimum idle time, days. With `relatime` the kernel renews an access time only once in 24 hours, so a file in
 * constant use can look a day old.
 */
export const MIN_IDLE_DAYS = 2

/**
 * Time after its publication in which no sweep removes a file, ms: on a full disk a rendition would be gone before
 * other viewers of the same page get it. Not longer, as the budgets also apply to bursts.
 */
export const NEW_MS = 10_000

/** Age from which a temporary file is orphaned, ms: longer than any upload or render. */
export const TEMP_MAX_AGE_MS = 60 * 60_000

/** Share of the budget at which a sweep begins: more is written while it runs. */
export const SWEEP_AT = 0.97

/** A sweep that has to free space frees 3 % more, so that the next file does not start it again. */
export const LOW_WATER = 0.97

const DEFAULT_MAX_PERCENT = 10
const DEFAULT_MIN_FREE_PERCENT = 5

/** Settings of the operator. Absent values depend on the size of the disk. */
export interface SweepSettings {
  /** Days without a read after which a file is removed; at least `MIN_IDLE_DAYS`. */
  readonly maxIdleDays: number
  /** Maximum allocated bytes of the cache; default: a tenth of the disk. */
  readonly maxBytes?: number
  /** Bytes to keep free on the disk; default: `minFreePercent` of it. */
  readonly minFreeBytes?: number
  /** Percent of the inodes, and without `minFreeBytes` of the bytes, to keep free; default: 5. */
  readonly minFreePercent?: number
}

export interface SweepLimits {
  readonly maxIdleMs: number
  readonly maxBytes: number
  readonly minFreeBytes: number
  readonly minFreeInodes: number
}

/** The file system of the cache. It has 0 inodes if it allocates them dynamically. */
export interface DiskSpace {
  readonly totalBytes: number
  readonly freeBytes: number
  readonly totalInodes: number
  readonly freeInodes: number
}

/** @throws RangeError for an idle time below `MIN_IDLE_DAYS`. */
export function planLimits(settings: SweepSettings, disk: DiskSpace): SweepLimits {
  const { maxIdleDays, maxBytes, minFreeBytes, minFreePercent = DEFAULT_MIN_FREE_PERCENT } = settings
  if (!(maxIdleDays >= MIN_IDLE_DAYS)) throw new RangeError(`The idle time must be at least ${MIN_IDLE_DAYS} days`)
  return {
    maxIdleMs: maxIdleDays * DAY_MS,
    maxBytes: maxBytes ?? (disk.totalBytes * DEFAULT_MAX_PERCENT) / 100,
    minFreeBytes: minFreeBytes ?? (disk.totalBytes * minFreePercent) / 100,
    minFreeInodes: (disk.totalInodes * minFreePercent) / 100,
  }
}

/** Reasons for removals, or the reason why idle times did not count. */
export type SweepReason = 'all' | 'idle' | 'max_bytes' | 'free_bytes' | 'free_inodes' | 'clock_jumped'

/** Space to free. Bytes and inodes are counted separately: the one that needs more removals decides. */
export interface Shortage {
  readonly bytes: number
  readonly inodes: number
  readonly reasons: readonly SweepReason[]
}

/**
 * Space to free for the budgets, down to the low-water mark.
 *
 * @param usedBytes Allocated bytes of the files in the cache.
 */
export function planShortage(usedBytes: number, disk: DiskSpace, limits: SweepLimits): Shortage {
  const reasons: SweepReason[] = []
  let bytes = 0
  let inodes = 0
  if (usedBytes > limits.maxBytes) {
    reasons.push('max_bytes')
    bytes = usedBytes - limits.maxBytes * LOW_WATER
  }
  if (disk.freeBytes < limits.minFreeBytes) {
    reasons.push('free_bytes')
    bytes = Math.max(bytes, limits.minFreeBytes / LOW_WATER - disk.freeBytes)
  }
  if (disk.totalInodes > 0 && disk.freeInodes < limits.minFreeInodes) {
    reasons.push('free_inodes')
    inodes = limits.minFreeInodes / LOW_WATER - disk.freeInodes
  }
  return { bytes, inodes, reasons }
}

/** Times that a sweep saves for the next one, in ms since 1970. */
export interface SweepClock {
  readonly sweptAtMs: number
  /** Time between `sweptAtMs` and the sweep before it. */
  readonly gapMs: number
  /** Every file counts as used at this time or later. */
  readonly notBeforeMs: number
}

/**
 * Detects a clock that jumped ahead. After a jump every file looks idle; so idle times begin at the jump, and files in
 * use renew their access time before they expire. The same happens after a long downtime, and costs only disk space
 * within the budgets. A gap counts as a jump if it is more than twice the last one, so that rare sweeps are not
 * affected.
 *
 * @param previous Saved by the last sweep; for the first sweep, the time of the cache's creation.
 */
export function planClock(previous: SweepClock, nowMs: number, maxIdleMs: number): SweepClock & { jumped: boolean } {
  const gapMs = Math.max(0, nowMs - previous.sweptAtMs)
  const jumped = gapMs > Math.max(maxIdleMs / 2, 2 * previous.gapMs)
  // The lesser of the two: a clock that was set back again must not delay expiry.
  const notBeforeMs = jumped ? nowMs : Math.min(previous.notBeforeMs, nowMs)
  return { sweptAtMs: nowMs, gapMs, notBeforeMs, jumped }
}

/**
 * Buckets of a histogram of ages, 256 KiB in all, on a logarithmic scale: each is 0.2 % older than the one before. The content of a small,
 * busy cache changes within a minute, and that of a large one within weeks.
 */
const BUCKETS = 16_384
/** The last bucket begins at 2^50 ms. */
const BUCKETS_PER_OCTAVE = BUCKETS / 50

/** Decides file by file in the second pass over the tree. */
export interface CutOff {
  /** Younger files are kept. */
  readonly ageMs: number
  /** Whether to remove a file of this age: older than the cut-off, or as old while more space is needed. */
  removes(ageMs: number): boolean
  /** To be called with the space that each removal has actually freed. */
  freed(ageMs: number, bytes: number, inodes: number): void
}

/** Bytes and inodes by age, in constant memory for any number of files. */
export interface AgeHistogram {
  /** @param ageMs Time since the last use, or an age that is weighted. */
  add(ageMs: number, bytes: number, inodes: number): void
  /** The age from which files are removed to free `shortage`, oldest first. */
  cutOff(shortage: Shortage): CutOff
}

export function createAgeHistogram(): AgeHistogram {
  const bytesByAge = new Float64Array(BUCKETS)
  const inodesByAge = new Float64Array(BUCKETS)
  const bucketOf = (ageMs: number): number =>
    Math.min(BUCKETS - 1, Math.floor(Math.log2(Math.max(1, ageMs)) * BUCKETS_PER_OCTAVE))

  return {
    add(ageMs, bytes, inodes) {
      const bucket = bucketOf(ageMs)
      bytesByAge[bucket] = (bytesByAge[bucket] ?? 0) + bytes
      inodesByAge[bucket] = (inodesByAge[bucket] ?? 0) + inodes
    },
    cutOff(shortage) {
      let { bytes, inodes } = shortage
      let edge = BUCKETS
      while (bytes > 0 || inodes > 0) {
        edge -= 1
        if (edge < 0) break
        const bucketBytes = bytesByAge[edge] ?? 0
        const bucketInodes = inodesByAge[edge] ?? 0
        // The rest of the last bucket is kept: a cache that was copied at once may have all files in one bucket.
        if (bytes <= bucketBytes && inodes <= bucketInodes) break
        bytes -= bucketBytes
        inodes -= bucketInodes
      }
      return {
        ageMs: 2 ** (Math.max(0, edge) / BUCKETS_PER_OCTAVE),
        removes: (ageMs) => bucketOf(ageMs) > edge || (bucketOf(ageMs) === edge && (bytes > 0 || inodes > 0)),
        freed(ageMs, freedBytes, freedInodes) {
          if (bucketOf(ageMs) !== edge) return
          bytes -= freedBytes
          inodes -= freedInodes
        },
      }
    },
  }
}
