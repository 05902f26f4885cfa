import { closeSync, constants, fstatSync, futimesSync, lstatSync, openSync, readdirSync, type Stats } from 'node:fs'
import { CACHE_FOLDERS, PICTURE_FOLDERS } from '../../domain/stored/cache-layout.ts'
import {
  type AgeHistogram,
  type CutOff,
  createAgeHistogram,
  type DiskSpace,
  PROTECTED_MS,
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
  systemErrorCode,
  type WalkPolicy,
  type WalkTally,
  walk,
} from './cache-sweep-folder.ts'
import { type Share, type SweepLedger, shareKept, shareRemoved } from './cache-sweep-ledger.ts'

/** What is in `tmp/` under a name that begins so was hidden there to be removed at once: deleted images. */
const HIDDEN_PREFIX = 'gone-'

/** Folders at this depth below `renditions` and `originals` share out the ids evenly: at most 256 in each. */
const SHARD_DEPTH = 2

export interface SweepTask {
  readonly cacheDir: string
  readonly settings: SweepSettings
  /** Ms since 1970. */
  readonly nowMs: number
  /** Remove every picture whatever its age. Temporary files still have their hour: somebody may be writing them. */
  readonly all: boolean
  /** Change nothing, take no lock; the report says what would have been removed. */
  readonly dryRun: boolean
}

export interface SweepProgress {
  /** 1 removes what is idle and counts the rest; 2, if a budget is exceeded, removes the oldest of that. */
  readonly pass: number
  /** Parts of the tree begun in this pass, of `totalShards` about equal ones. */
  readonly shards: number
  readonly totalShards: number
  readonly scannedFiles: number
  readonly removedFiles: number
}

/** How a sweep is watched and ended from outside its thread. */
export interface SweepMonitor {
  isStopped(): boolean
  report(progress: SweepProgress): void
}

/** A sweep under way, as its passes share it. */
export interface Sweep {
  readonly task: SweepTask
  readonly folder: CacheFolder
  readonly disk: DiskSpace
  readonly limits: SweepLimits
  readonly clock: SweepClock & { readonly jumped: boolean }
  readonly ledger: SweepLedger
  readonly monitor: SweepMonitor
}

/** Removes hidden images, and temporary files that nobody can be writing any more. */
export function removeTemporary(sweep: Sweep): void {
  const { task, folder, clock, ledger } = sweep
  // By ctime: the mtime of a rendition is set to a constant before it is published. After a jump of the clock what is
  // being written looks old too, so orphans stay for the next sweep.
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

/** @returns What is left and may go, by age. */
export function removeIdle(sweep: Sweep): AgeHistogram {
  const { task, limits, clock, ledger } = sweep
  const histogram = createAgeHistogram(limits.maxIdleMs)
  const policy = firstPass(sweep)
  if (clock.jumped && !task.all) ledger.reasons.add('clock_jumped')
  walkTrees(sweep, 1, {
    ...policy,
    onKept(stats, path) {
      policy.onKept(stats, path)
      const { bytes, inodes } = shareKept(stats)
      if (!isProtected(task, stats)) histogram.add(task.nowMs - stats.atimeMs, bytes, inodes)
    },
    onRemoved(stats) {
      policy.onRemoved(stats)
      ledger.reasons.add(task.all ? 'all' : 'idle')
    },
  })
  return histogram
}

/** Removes the oldest if the cache is over a budget after the first pass. */
export function keepToBudgets(sweep: Sweep, histogram: AgeHistogram): void {
  const { folder, disk, limits, ledger, monitor } = sweep
  if (monitor.isStopped()) return
  const now = diskSpace(folder.path)
  // Some file systems take their time to count what was freed. What we know to be free is not removed once more.
  const freeBytes = Math.max(now.freeBytes, disk.freeBytes + ledger.removedBytes)
  const freeInodes = Math.max(now.freeInodes, disk.freeInodes + ledger.removedInodes)
  const shortage = planShortage(ledger.keptBytes, { ...now, freeBytes, freeInodes }, limits)
  if (shortage.reasons.length === 0) return
  for (const reason of shortage.reasons) ledger.reasons.add(reason)
  removeOldest(sweep, histogram.cutOff(shortage))
}

/** Whatever is read again between half of the age at which files go now and that age, goes later. */
const EXPECTED_FROM = 0.5

function removeOldest(sweep: Sweep, cutOff: CutOff): void {
  const { task, ledger } = sweep
  const expectedFromMs = cutOff.ageMs * EXPECTED_FROM
  const ageOf = (stats: Stats): number => task.nowMs - stats.atimeMs
  walkTrees(sweep, 2, {
    ...firstPass(sweep),
    // What is idle is gone, and met again in a dry run only.
    removesFile: (stats) => !isProtected(task, stats) && !isIdle(sweep, stats) && cutOff.removes(ageOf(stats)),
    onKept(stats, path) {
      if (!task.dryRun && ageOf(stats) > expectedFromMs) attempt(ledger, () => expectRead(path, stats))
    },
    onRemoved(stats) {
      const { bytes, inodes } = countRemoved(sweep, stats)
      ledger.keptBytes -= bytes
      cutOff.freed(ageOf(stats), bytes, inodes)
    },
  })
}

/** What all walks have in common. What they meet is counted; the second pass over the same files does not. */
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
  if (isProtected(task, stats)) return false
  return task.nowMs - Math.max(stats.atimeMs, clock.notBeforeMs) > limits.maxIdleMs
}

/** Both times of a new file are of its publication; a sweep itself renews the ctime of old ones. */
function isProtected(task: SweepTask, { ctimeMs, atimeMs }: Stats): boolean {
  // On either side: after the clock was set back, files from the future must not be safe until then.
  const isRecent = (timeMs: number): boolean => Math.abs(task.nowMs - timeMs) < PROTECTED_MS
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

/** Opening must not be what renews the access time; and nothing but the file itself is opened. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NOATIME

/**
 * Makes the next read of a file renew its access time. With `relatime` the kernel does that once a day, and when the file
 * was changed since it was last read: setting its times, to what they are, is such a change. So a picture that nginx sends
 * again and again, of which the node hears nothing, is told from one that was looked at once, also in a cache that turns
 * over in less than a day. Does nothing where a read is expected already: it costs a change of the inode, once for each
 * time that somebody has read it. On a mount with `noatime` nothing is ever renewed, and this does nothing.
 *
 * @param stats From just before; what has another file in its place by now is left alone.
 * @throws what the system says.
 */
export function expectRead(path: string, { ino, dev, atimeMs, ctimeMs, mtimeMs }: Stats): void {
  if (atimeMs <= ctimeMs) return
  const file = openOwn(path)
  if (file === undefined) return
  try {
    const opened = fstatSync(file)
    if (opened.ino === ino && opened.dev === dev) futimesSync(file, atimeMs / 1000, mtimeMs / 1000)
  } finally {
    closeSync(file)
  }
}

/** @returns undefined for a file that somebody else owns: it can be removed, but only its owner may set its times. */
function openOwn(path: string): number | undefined {
  try {
    return openSync(path, FLAGS)
  } catch (error) {
    const code = systemErrorCode(error)
    if (code === 'EPERM' || code === 'EACCES') return undefined
    throw error
  }
}
