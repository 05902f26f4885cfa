import type { Stats } from 'node:fs'
import type { SweepReason } from '../../domain/sweep/sweep-plan.ts'
import type { WalkTally } from './cache-sweep-folder.ts'

/** What one sweep has done. */
export interface SweepReport {
  readonly dryRun: boolean
  /** Why files went; empty if none had to. `clock_jumped` is why idle ones stayed. */
  readonly reasons: readonly SweepReason[]
  /** Ended early, by `stop`. */
  readonly stopped: boolean
  readonly scannedFiles: number
  /** Allocated on disk, temporary files included; a file with several names counts once. */
  readonly bytesBefore: number
  readonly bytesAfter: number
  readonly removedFiles: number
  readonly removedBytes: number
  /** Of the removed files: orphaned temporary ones, and those of deleted images. */
  readonly removedTemporaryFiles: number
  /** Links, sockets and other file systems, left alone. */
  readonly skipped: number
  readonly failed: number
  /** The system's message, with a path: for the operator only. */
  readonly firstFailure: string | undefined
  readonly seconds: number
}

/** What a sweep counts as it goes. */
export interface SweepLedger extends WalkTally {
  readonly reasons: Set<SweepReason>
  scannedFiles: number
  keptBytes: number
  removedFiles: number
  removedTemporaryFiles: number
  removedBytes: number
  removedInodes: number
}

export function createSweepLedger(): SweepLedger {
  return {
    reasons: new Set(),
    scannedFiles: 0,
    keptBytes: 0,
    removedFiles: 0,
    removedTemporaryFiles: 0,
    removedBytes: 0,
    removedInodes: 0,
    skipped: 0,
    failed: 0,
    firstFailure: undefined,
  }
}

/** What stands behind one name of a file: of one with several names, a part. */
export interface Share {
  readonly bytes: number
  readonly inodes: number
}

export function shareKept(stats: Stats): Share {
  return shareOf(stats, 1 / stats.nlink)
}

/** What a removal frees: all, with the last name. In a dry run the other names are still there: each has its part. */
export function shareRemoved(stats: Stats, dryRun: boolean): Share {
  if (dryRun) return shareKept(stats)
  return shareOf(stats, stats.nlink > 1 ? 0 : 1)
}

function shareOf(stats: Stats, part: number): Share {
  // POSIX counts in blocks of 512 bytes here, whatever the file system's own are.
  return { bytes: stats.blocks * 512 * part, inodes: part }
}
