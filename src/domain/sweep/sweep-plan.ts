const DAY_MS = 86_400_000

/**
 * The shortest idle time that may be set, days. With `relatime` the kernel renews an access time only once in 24 hours, so
 * that a file in constant use can look a day old; a limit near that would remove the files that are used most.
 */
export const MIN_IDLE_DAYS = 2

/**
 * How soon after its publication no sweep removes a file, ms: on a full disk what is rendered would be gone before the others
 * who are looking at the same page have had it. Not longer, as the budgets hold for what is rendered in a burst too.
 */
export const PROTECTED_MS = 10_000

/** How old a temporary file must be before it counts as orphaned, ms. No upload and no render takes that long. */
export const TEMP_MAX_AGE_MS = 60 * 60_000

/** A sweep that has to make room makes a tenth more, so that the next file does not start it again. */
const LOW_WATER = 0.9

const DEFAULT_MAX_PERCENT = 10
const DEFAULT_MIN_FREE_PERCENT = 5

/** What the operator set. What is absent follows from the size of the disk. */
export interface SweepSettings {
  /** Days without a read after which a file goes; at least `MIN_IDLE_DAYS`. */
  readonly maxIdleDays: number
  /** Allocated bytes that the cache may hold; default: a tenth of the disk. */
  readonly maxBytes?: number
  /** Bytes that stay free on the disk; default: `minFreePercent` of it. */
  readonly minFreeBytes?: number
  /** Percent of the disk's inodes, and without `minFreeBytes` of its bytes, that stay free; default: 5. */
  readonly minFreePercent?: number
}

export interface SweepLimits {
  readonly maxIdleMs: number
  readonly maxBytes: number
  readonly minFreeBytes: number
  readonly minFreeInodes: number
}

/** The file system that holds the cache. One that makes inodes as needed has 0 of them. */
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

/** Why files were removed, or why the time they were idle for did not count. */
export type SweepReason = 'all' | 'idle' | 'max_bytes' | 'free_bytes' | 'free_inodes' | 'clock_jumped'

/** Room to be made. Bytes and inodes are counted apart: whichever needs more files removed decides. */
export interface Shortage {
  readonly bytes: number
  readonly inodes: number
  readonly reasons: readonly SweepReason[]
}

/**
 * What must go to keep to the budgets, down to the low-water mark.
 *
 * @param usedBytes Allocated bytes of the cache's files.
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

/** What one sweep tells the next about time. All in ms since 1970. */
export interface SweepClock {
  readonly sweptAtMs: number
  /** How long before `sweptAtMs` the sweep before that ran. */
  readonly gapMs: number
  /** Every file counts as used at this time at least. */
  readonly notBeforeMs: number
}

/**
 * Tells a clock that jumped ahead from time that went by. After a jump everything looks idle; so nothing counts as idle
 * since before the jump, and what is still in use renews its access time before the idle time is over again. The same
 * happens after a node was off for long, and costs no more than disk that the budgets guard anyway. Sweeps that are
 * always far apart are no jump: only a gap more than twice the last one is.
 *
 * @param previous What the last sweep left behind; for the first, the time at which the cache was made.
 */
export function planClock(previous: SweepClock, nowMs: number, maxIdleMs: number): SweepClock & { jumped: boolean } {
  const gapMs = Math.max(0, nowMs - previous.sweptAtMs)
  const jumped = gapMs > Math.max(maxIdleMs / 2, 2 * previous.gapMs)
  // The lesser of the two: a clock that was set back again must not put off expiry until the time that it had come to.
  const notBeforeMs = jumped ? nowMs : Math.min(previous.notBeforeMs, nowMs)
  return { sweptAtMs: nowMs, gapMs, notBeforeMs, jumped }
}

/**
 * Times since the last access share out over this many buckets, in 1 MiB altogether. The younger, the finer: of 30 days they
 * are a fifth of a second wide at ten seconds, 15 s at a day and 80 s at the end. A small cache of which many sizes are asked
 * turns over within a minute, and then the order within that minute counts.
 */
const BUCKETS = 65_536

/** Decides file by file in the second pass over the tree. */
export interface CutOff {
  /** What was last used less long ago stays. */
  readonly ageMs: number
  /** Whether a file of this age goes: older than the cut-off, or as old and there is not room enough yet. */
  removes(ageMs: number): boolean
  /** To be told what each removal of a file of this age has really freed. */
  freed(ageMs: number, bytes: number, inodes: number): void
}

/** How many bytes and inodes were last used how long ago: what millions of files come to, in constant memory. */
export interface AgeHistogram {
  add(ageMs: number, bytes: number, inodes: number): void
  /** The age from which files go so that `shortage` is met, oldest access first. */
  cutOff(shortage: Shortage): CutOff
}

/**
 * Renditions and originals stand in the same order, by access alone. An original costs a fetch to bring back and a
 * rendition a render, which is about as dear; but an original takes a hundred times the room and is read for new sizes only,
 * so that sparing originals would push out what visitors look at.
 *
 * @param maxAgeMs Files older than this share the last bucket.
 */
export function createAgeHistogram(maxAgeMs: number): AgeHistogram {
  const bytesByAge = new Float64Array(BUCKETS)
  const inodesByAge = new Float64Array(BUCKETS)
  const bucketOf = (ageMs: number): number =>
    Math.min(BUCKETS - 1, Math.floor(Math.sqrt(Math.max(0, ageMs) / maxAgeMs) * BUCKETS))

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
        // What the last bucket has to give is kept: a cache that was copied in one go may have all of its files in one.
        if (bytes <= bucketBytes && inodes <= bucketInodes) break
        bytes -= bucketBytes
        inodes -= bucketInodes
      }
      return {
        ageMs: (Math.max(0, edge) / BUCKETS) ** 2 * maxAgeMs,
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
