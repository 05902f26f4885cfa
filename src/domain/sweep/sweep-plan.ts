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
