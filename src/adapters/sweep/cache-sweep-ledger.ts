import type { Stats } from 'node:fs'
import type { SweepReason } from '../../domain/sweep/sweep-plan.ts'
import type { WalkTally } from './cache-sweep-folder.ts'

export interface SweepReport {
  readonly dryRun: boolean
  /** Reasons for removals; `clock_jumped` is the reason why idle files were kept. */
  readonly reasons: readonly SweepReason[]
  /** Ended early by `stop`. */
  readonly stopped: boolean
  readonly scannedFiles: number
  /** Allocated on disk, temporary files included; a file with several names counts once. */
  readonly bytesBefore: number
  readonly bytesAfter: number
  readonly removedFiles: number
  readonly removedBytes: number
  /** Part of the removed files: orphaned temporary files, and files of deleted images. */
  readonly removedTemporaryFiles: number
  /** Links, sockets and other file systems. */
  readonly skipped: number
  readonly failed: number
  /** System message, with a path: for the operator only. */
  readonly firstFailure: string | undefined
  readonly seconds: number
}

/** The counts of a running sweep. */
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

/** The space of one name of a file: a part, if the file has several names. */
export interface Share {
  readonly bytes: number
  readonly inodes: number
}

export function shareKept(stats: Stats): Share {
  return shareOf(stats, 1 / stats.nlink)
}

/** Space that a removal frees: all, with the last name. In a dry run each name counts with its part. */
export function shareRemoved(stats: Stats, dryRun: boolean): Share {
  if (dryRun) return shareKept(stats)
  return shareOf(stats, stats.nlink > 1 ? 0 : 1)
}

function shareOf(stats: Stats, part: number): Share {
  // POSIX counts blocks of 512 bytes here, whatever the block size of the file system.
  return { bytes: stats.blocks * 512 * part, inodes: part }
}
