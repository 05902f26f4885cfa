import type { Meter } from '../ports/meter.ts'

export interface SweepResult {
  readonly bytesAfter: number
  /** Including temporary files. */
  readonly removedFiles: number
  readonly removedBytes: number
}

/** Deletes idle files and those over the budgets. One sweep at a time. */
export interface CacheSweep {
  /** @returns undefined if another process is sweeping. */
  sweep(): Promise<SweepResult | undefined>
  stop(): Promise<void>
}

/** Schedules sweeps: periodically, and at once when the disk refuses a write or the budget must be used up. */
export interface CacheKeeper {
  start(): void
  stop(): Promise<void>
  /** Counts bytes written to the cache. */
  wrote(bytes: number): void
  /** The disk refused a write: the cache is degraded for now. */
  refused(cause: unknown): void
  /** Disk space used by the cache: the result of the last sweep, plus later writes. */
  readonly usedBytes: number
  /** Whether the disk has refused a write recently. */
  readonly degraded: boolean
  /** Files deleted by the sweeps of this node. */
  readonly evicted: { readonly files: number; readonly bytes: number }
  /** Time since the last successful sweep of this node or another process; before the first, since the start. */
  readonly sweepAgeSeconds: number
}

export interface CacheKeeperOptions {
  readonly sweep: CacheSweep
  readonly meter: Meter
  readonly now: () => number
  readonly everyMs: number
  readonly maxBytes: number
}

const TROUBLE_MS = 60_000
/** A full disk triggers a sweep with every request. */
const LEAST_PAUSE_MS = 5_000

export function createCacheKeeper({ sweep, meter, now, everyMs, maxBytes }: CacheKeeperOptions): CacheKeeper {
  let timer: NodeJS.Timeout | undefined
  let underWay: Promise<void> | undefined
  let usedBytes = 0
  let sweptAt = Number.NEGATIVE_INFINITY
  let refusedAt = Number.NEGATIVE_INFINITY
  let succeededAt = now()
  const evicted = { files: 0, bytes: 0 }
  const toldAt = new Map<string, number>()

  /** A failing disk reports with every request. */
  function tell(message: string, cause: unknown): void {
    if (now() - (toldAt.get(message) ?? Number.NEGATIVE_INFINITY) < TROUBLE_MS) return
    toldAt.set(message, now())
    meter.trouble(message, cause)
  }

  function sweepSoon(): void {
    if (now() - sweptAt >= LEAST_PAUSE_MS) sweepNow()
  }

  function sweepNow(): void {
    if (timer === undefined || underWay !== undefined) return
    sweptAt = now()
    underWay = sweep
      .sweep()
      .then(
        (report) => {
          succeededAt = now()
          if (report === undefined) return
          usedBytes = report.bytesAfter
          evicted.files += report.removedFiles
          evicted.bytes += report.removedBytes
        },
        (error: unknown) => tell('The cache sweep failed', error),
      )
      .finally(() => {
        underWay = undefined
      })
  }

  return {
    start() {
      timer = setInterval(sweepNow, everyMs)
      timer.unref()
      sweepSoon()
    },
    async stop() {
      clearInterval(timer)
      timer = undefined
      await sweep.stop()
      await underWay
    },
    wrote(bytes) {
      usedBytes += bytes
      if (usedBytes > maxBytes) sweepSoon()
    },
    refused(cause) {
      refusedAt = now()
      sweepSoon()
      tell('The cache disk is not writable: images are served without the disk cache', cause)
    },
    get usedBytes() {
      return usedBytes
    },
    get degraded() {
      return now() - refusedAt < TROUBLE_MS
    },
    evicted,
    get sweepAgeSeconds() {
      return (now() - succeededAt) / 1000
    },
  }
}
