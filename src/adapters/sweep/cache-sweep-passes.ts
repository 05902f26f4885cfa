import { lstatSync, readdirSync, type Stats } from 'node:fs'
import { CACHE_FOLDERS, PICTURE_FOLDERS } from '../../domain/stored/cache-layout.ts'
import { createEvictionCounts, type EvictionCounts, type EvictionPlan } from '../../domain/sweep/eviction-order.ts'
import {
  type DiskSpace,
  NEW_MS,
  planClock,
  planLimits,
  planShortage,
  type SweepClock,
  type SweepLimits,
  type SweepSettings,
  TEMP_MAX_AGE_MS,
} from '../../domain/sweep/sweep-plan.ts'
import {
  attempt,
  type CacheFolder,
  diskSpace,
  loadClock,
  openCacheFolder,
  recordReads,
  saveClock,
  type WalkPolicy,
  type WalkTally,
  walk,
} from './cache-sweep-folder.ts'
import {
  createSweepLedger,
  type Share,
  type SweepLedger,
  type SweepReport,
  shareKept,
  shareRemoved,
} from './cache-sweep-ledger.ts'
import { takeSweepLock } from './cache-sweep-lock.ts'

/** Prefix of names in `tmp/` of deleted images, which are removed at once. */
const HIDDEN_PREFIX = 'gone-'

/** Folders at this depth below `renditions` and `originals` divide the ids evenly: at most 256 in each. */
const SHARD_DEPTH = 2

export interface SweepTask {
  readonly cacheDir: string
  readonly settings: SweepSettings
  /** Ms since 1970. */
  readonly nowMs: number
  /** Removes every picture of any age. Temporary files still have an hour, as they may be incomplete. */
  readonly all: boolean
  /** Changes nothing and takes no lock; the report counts what would be removed. */
  readonly dryRun: boolean
}

export interface SweepProgress {
  /** 1: removes idle files and counts the others. 2: removes the oldest, if a budget is exceeded. */
  readonly pass: number
  /** Parts of the tree that this pass has begun, of `totalShards` similar ones. */
  readonly shards: number
  readonly totalShards: number
  readonly scannedFiles: number
  readonly removedFiles: number
}

/** Reports the progress of a sweep outside of its thread, and stops it. */
export interface SweepMonitor {
  isStopped(): boolean
  report(progress: SweepProgress): void
}

/** The state that the passes of a sweep share. */
interface Sweep {
  readonly task: SweepTask
  readonly folder: CacheFolder
  readonly disk: DiskSpace
  readonly limits: SweepLimits
  readonly clock: SweepClock & { readonly jumped: boolean }
  readonly ledger: SweepLedger
  readonly monitor: SweepMonitor
}

/**
 * Runs one sweep and blocks its thread. The first pass removes idle files and counts the others by age; if they exceed a
 * budget, the second pass removes the oldest. Ages are relative to `task.nowMs` in both.
 *
 * @throws SweepRefused if the folder is not a cache, or another sweep is running.
 * @throws RangeError for settings out of range.
 */
export function runSweep(task: SweepTask, monitor: SweepMonitor): SweepReport {
  const startedAt = performance.now()
  const folder = openCacheFolder(task.cacheDir)
  const disk = diskSpace(folder.path)
  const limits = planLimits(task.settings, disk)
  const lock = task.dryRun ? undefined : takeSweepLock(folder.path)
  try {
    const clock = planClock(loadClock(folder), task.nowMs, limits.maxIdleMs)
    const ledger = createSweepLedger()
    const isStopped = (): boolean => {
      lock?.renew()
      return monitor.isStopped()
    }
    const sweep = { task, folder, disk, limits, clock, ledger, monitor: { ...monitor, isStopped } }
    removeTemporary(sweep)
    keepToBudgets(sweep, removeIdle(sweep))
    if (!task.dryRun) saveClock(folder, clock)
    const { keptBytes, removedInodes: _, reasons, ...counts } = ledger
    return {
      ...counts,
      dryRun: task.dryRun,
      reasons: [...reasons],
      stopped: monitor.isStopped(),
      bytesBefore: keptBytes + ledger.removedBytes,
      bytesAfter: keptBytes,
      seconds: (performance.now() - startedAt) / 1000,
    }
  } finally {
    lock?.release()
  }
}

/** Removes hidden images, and orphaned temporary files. */
function removeTemporary(sweep: Sweep): void {
  const { task, folder, clock, ledger } = sweep
  // By ctime: the mtime of a rendition is set to a constant before it is published. After a jump of the clock a file that is
  // still being written also looks old, so orphans are kept until the next sweep.
  const isOrphan = (stats: Stats): boolean => !clock.jumped && task.nowMs - stats.ctimeMs > TEMP_MAX_AGE_MS
  const policy = firstPass(sweep)
  const orphans: WalkPolicy = {
    ...policy,
    removesFile: isOrphan,
    onRemoved(stats) {
      policy.onRemoved(stats)
      ledger.removedTemporaryFiles += 1
    },
    removesFolder: isOrphan,
  }
  const hidden: WalkPolicy = { ...orphans, removesFile: () => true, removesFolder: () => true }
  const path = `${folder.path}/${CACHE_FOLDERS.temporary}`
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return
  if (!stats.isDirectory() || stats.dev !== folder.device) {
    ledger.skipped += 1
    return
  }
  for (const name of readdirSync(path)) walk(`${path}/${name}`, name.startsWith(HIDDEN_PREFIX) ? hidden : orphans)
}

/** @returns The remaining files that may be removed, in their order. */
function removeIdle(sweep: Sweep): EvictionCounts {
  const { task, clock, ledger } = sweep
  const counts = createEvictionCounts(task.nowMs)
  const policy = firstPass(sweep)
  if (clock.jumped && !task.all) ledger.reasons.add('clock_jumped')
  walkTrees(sweep, 1, {
    ...policy,
    onKept(stats, path) {
      policy.onKept(stats, path)
      const { bytes, inodes } = shareKept(stats)
      if (!isNew(task, stats)) counts.add(stats, bytes, inodes)
    },
    onRemoved(stats) {
      policy.onRemoved(stats)
      ledger.reasons.add(task.all ? 'all' : 'idle')
    },
  })
  return counts
}

/** Removes files by the eviction rules if the cache exceeds a budget after the first pass. */
function keepToBudgets(sweep: Sweep, counts: EvictionCounts): void {
  const { folder, disk, limits, ledger, monitor } = sweep
  if (monitor.isStopped()) return
  const now = diskSpace(folder.path)
  // Some file systems report freed space with a delay: use our own count if it is higher.
  const freeBytes = Math.max(now.freeBytes, disk.freeBytes + ledger.removedBytes)
  const freeInodes = Math.max(now.freeInodes, disk.freeInodes + ledger.removedInodes)
  const shortage = planShortage(ledger.keptBytes, { ...now, freeBytes, freeInodes }, limits)
  if (shortage.reasons.length === 0) return
  for (const reason of shortage.reasons) ledger.reasons.add(reason)
  evict(sweep, counts.plan(shortage))
}

function evict(sweep: Sweep, plan: EvictionPlan): void {
  const { task, ledger } = sweep
  walkTrees(sweep, 2, {
    ...firstPass(sweep),
    // Idle files are gone already, except in a dry run.
    removesFile: (stats) => !isNew(task, stats) && !isIdle(sweep, stats) && plan.decide(stats) === 'remove',
    onKept(stats, path) {
      if (task.dryRun || isNew(task, stats)) return
      const verdict = plan.decide(stats)
      if (verdict !== 'keep' && verdict !== 'remove') attempt(ledger, () => recordReads(path, stats, verdict))
    },
    onRemoved(stats) {
      const { bytes, inodes } = countRemoved(sweep, stats)
      ledger.keptBytes -= bytes
      plan.freed(stats, bytes, inodes)
    },
  })
}

/** The common part of all walks, with the counts of the first pass. */
function firstPass(sweep: Sweep): WalkPolicy {
  const { task, folder, ledger, monitor } = sweep
  return {
    device: folder.device,
    dryRun: task.dryRun,
    tally: ledger,
    goesOn: () => !monitor.isStopped(),
    removesFile: (stats) => isIdle(sweep, stats),
    onKept(stats) {
      ledger.scannedFiles += 1
      ledger.keptBytes += shareKept(stats).bytes
    },
    onRemoved(stats) {
      ledger.scannedFiles += 1
      countRemoved(sweep, stats)
    },
    removesFolder: (_stats, depth) => depth >= SHARD_DEPTH,
  }
}

function walkTrees(sweep: Sweep, pass: number, policy: WalkPolicy): void {
  const { folder, ledger, monitor } = sweep
  const trees = PICTURE_FOLDERS.map((name) => `${folder.path}/${name}`)
  const totalShards = trees.flatMap((tree) => foldersIn(tree, ledger)).flatMap((kind) => foldersIn(kind, ledger)).length
  let shards = 0
  for (const tree of trees) {
    walk(tree, {
      ...policy,
      goesOn(depth) {
        if (depth === SHARD_DEPTH) shards += 1
        const { scannedFiles, removedFiles } = ledger
        monitor.report({ pass, shards, totalShards, scannedFiles, removedFiles })
        return policy.goesOn(depth)
      },
    })
  }
}

function isIdle({ task, limits, clock }: Sweep, stats: Stats): boolean {
  if (task.all) return true
  if (isNew(task, stats)) return false
  return task.nowMs - Math.max(stats.atimeMs, clock.notBeforeMs) > limits.maxIdleMs
}

/** Both times of a new file are the time of its publication; a sweep itself renews the ctime of old files. */
function isNew(task: SweepTask, { ctimeMs, atimeMs }: Stats): boolean {
  // In both directions: after the clock was set back, files from the future must not be protected until then.
  const isRecent = (timeMs: number): boolean => Math.abs(task.nowMs - timeMs) < NEW_MS
  return isRecent(ctimeMs) && isRecent(atimeMs)
}

function countRemoved({ task, ledger }: Sweep, stats: Stats): Share {
  const freed = shareRemoved(stats, task.dryRun)
  ledger.removedFiles += 1
  ledger.removedBytes += freed.bytes
  ledger.removedInodes += freed.inodes
  return freed
}

function foldersIn(path: string, tally: WalkTally): string[] {
  const entries = attempt(tally, () => readdirSync(path, { withFileTypes: true }))
  if (typeof entries === 'string') return []
  return entries.filter((entry) => entry.isDirectory()).map((entry) => `${path}/${entry.name}`)
}
