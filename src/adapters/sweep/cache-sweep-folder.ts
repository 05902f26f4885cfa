import { randomUUID } from 'node:crypto'
import {
  closeSync,
  constants,
  fstatSync,
  futimesSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  type Stats,
  statfsSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { CACHE_FOLDERS, CACHE_MARKER } from '../../domain/stored/cache-layout.ts'
import { markedMtime } from '../../domain/sweep/eviction-order.ts'
import type { DiskSpace, SweepClock } from '../../domain/sweep/sweep-plan.ts'
import { systemErrorCode } from '../files/new-file.ts'

const CLOCK_FILE = '.sweep-clock'

/** The sweep did not begin. The message is for the operator. */
export class SweepRefused extends Error {
  readonly reason: 'not_a_cache' | 'locked'
  constructor(reason: 'not_a_cache' | 'locked', message: string) {
    super(message)
    this.name = new.target.name
    this.reason = reason
  }
}

export interface CacheFolder {
  /** Resolved: without symbolic links. */
  readonly path: string
  readonly device: number
  /** Time of the marker, ms since 1970. */
  readonly madeAtMs: number
}

/**
 * Makes sure that everything below a folder may be deleted. The path of the folder may contain symbolic links, as a cache on
 * another disk often does; links inside of it are not followed.
 *
 * @throws SweepRefused `not_a_cache`.
 */
export function openCacheFolder(cacheDir: string): CacheFolder {
  const refuse = (why: string): SweepRefused => new SweepRefused('not_a_cache', `${cacheDir} ${why}`)
  try {
    const path = realpathSync(cacheDir)
    if (path === '/' || isHome(path)) throw refuse('cannot be the cache folder: it is the root or a home directory')
    const marker = lstatSync(`${path}/${CACHE_MARKER.name}`)
    if (!marker.isFile() || readFileSync(`${path}/${CACHE_MARKER.name}`, 'utf8') !== CACHE_MARKER.content) {
      throw refuse(`is not a Darkroom cache: the content of ${CACHE_MARKER.name} is invalid`)
    }
    return { path, device: lstatSync(path).dev, madeAtMs: marker.mtimeMs }
  } catch (cause) {
    if (systemErrorCode(cause) !== 'ENOENT' && systemErrorCode(cause) !== 'ENOTDIR') throw cause
    throw refuse(`is not a Darkroom cache: ${CACHE_MARKER.name} is missing`)
  }
}

function isHome(path: string): boolean {
  try {
    return path === realpathSync(homedir())
  } catch {
    // The user has no home directory, or it does not exist.
    return false
  }
}

export function diskSpace(path: string): DiskSpace {
  const { bsize, blocks, bavail, files, ffree } = statfsSync(path)
  return { totalBytes: blocks * bsize, freeBytes: bavail * bsize, totalInodes: files, freeInodes: ffree }
}

/** The clock that the last sweep saved; for the first sweep, that of the cache's creation. */
export function loadClock(folder: CacheFolder): SweepClock {
  const first = { sweptAtMs: folder.madeAtMs, gapMs: 0, notBeforeMs: 0 }
  try {
    const numbers = readFileSync(`${folder.path}/${CLOCK_FILE}`, 'utf8').split(' ').map(Number)
    const [sweptAtMs, gapMs, notBeforeMs] = numbers
    if (sweptAtMs === undefined || gapMs === undefined || notBeforeMs === undefined) return first
    return numbers.every(Number.isFinite) ? { sweptAtMs, gapMs, notBeforeMs } : first
  } catch (cause) {
    if (systemErrorCode(cause) !== 'ENOENT') throw cause
    return first
  }
}

/** Saves the clock for the next sweep. On a full disk the old one stays: the sweep must not fail for it. */
export function saveClock(folder: CacheFolder, { sweptAtMs, gapMs, notBeforeMs }: SweepClock): void {
  const temporary = `${folder.path}/${CACHE_FOLDERS.temporary}/sweep-clock-${randomUUID()}`
  try {
    writeFileSync(temporary, `${sweptAtMs} ${gapMs} ${notBeforeMs}\n`)
    renameSync(temporary, `${folder.path}/${CLOCK_FILE}`)
  } catch (cause) {
    const code = systemErrorCode(cause)
    // ENOENT: there is no folder for temporary files. The node makes it again.
    if (code !== 'ENOSPC' && code !== 'EDQUOT' && code !== 'ENOENT') throw cause
  } finally {
    rmSync(temporary, { force: true })
  }
}

/** Counts of entries that a walk could not process. */
export interface WalkTally {
  /** Links, sockets, other file systems: neither followed nor removed. */
  skipped: number
  failed: number
  /** System message of the first failure, with a path: for the operator only. */
  firstFailure: string | undefined
}

export interface WalkPolicy {
  /** Device that the walk does not leave. */
  readonly device: number
  readonly dryRun: boolean
  readonly tally: WalkTally
  /** Called before every folder; false ends the walk. */
  goesOn(depth: number): boolean
  removesFile(stats: Stats): boolean
  /** Called for every file that is kept. */
  onKept(stats: Stats, path: string): void
  /** Called for every removed file; `stats` are from just before. */
  onRemoved(stats: Stats): void
  /** Whether to remove a folder if it is empty; `stats` are from before the walk through it. */
  removesFolder(stats: Stats, depth: number): boolean
}

/**
 * Walks from `path` depth first and removes entries by the policy. Memory is bounded by the largest folder. It never follows
 * a symbolic link or enters another file system. An entry that another process has removed is not a failure; an entry that
 * cannot be removed is counted, and the walk continues.
 *
 * The calls are synchronous because each takes microseconds, and a promise costs more: run it in a thread.
 *
 * @param siblings Inodes removed from the same folder: their other names are removed as well, although the removal of the
 *   first name renews the ctime.
 * @returns Whether `path` is gone.
 */
export function walk(path: string, policy: WalkPolicy, depth = 0, siblings = new Set<number>()): boolean {
  const stats = attempt(policy.tally, () => lstatSync(path, { throwIfNoEntry: false }))
  if (stats === 'failed') return false
  if (stats === 'gone' || stats === undefined) return true
  const isFolder = stats.isDirectory()
  if (stats.dev !== policy.device || !(isFolder || stats.isFile())) {
    policy.tally.skipped += 1
    return false
  }
  if (isFolder) return walkFolder(path, stats, policy, depth)
  const gone = removeFile(path, stats, policy, siblings)
  if (gone) policy.onRemoved(stats)
  else policy.onKept(stats, path)
  return gone
}

function walkFolder(path: string, stats: Stats, policy: WalkPolicy, depth: number): boolean {
  if (!policy.goesOn(depth)) return false
  const names = attempt(policy.tally, () => readdirSync(path))
  if (names === 'failed') return false
  if (names === 'gone') return true
  const siblings = new Set<number>()
  let left = 0
  for (const name of names) {
    if (!walk(`${path}/${name}`, policy, depth + 1, siblings)) left += 1
  }
  if (left > 0 || !policy.removesFolder(stats, depth)) return false
  return policy.dryRun || attempt(policy.tally, () => rmdirSync(path)) !== 'failed'
}

function removeFile(path: string, stats: Stats, policy: WalkPolicy, siblings: Set<number>): boolean {
  if (!siblings.has(stats.ino) && !policy.removesFile(stats)) return false
  if (stats.nlink > 1) siblings.add(stats.ino)
  return policy.dryRun || attempt(policy.tally, () => unlinkSync(path)) !== 'failed'
}

/**
 * A system call whose failure must not end the sweep.
 *
 * @returns `gone`: removed by another process. `failed`: counted; a folder that is not empty any more is not counted.
 */
export function attempt<T>(tally: WalkTally, call: () => T): T | 'gone' | 'failed' {
  try {
    return call()
  } catch (cause) {
    const code = systemErrorCode(cause)
    if (code === '') throw cause
    if (code === 'ENOENT' || code === 'ENOTDIR') return 'gone'
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return 'failed'
    tally.failed += 1
    tally.firstFailure ??= cause instanceof Error ? cause.message : code
    return 'failed'
  }
}

/** Opening must not renew the access time, nor follow a link. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NOATIME

/**
 * Records a number of reads in the mtime of a file, and makes the next read renew its access time. With `relatime` the kernel renews it once a
 * day, and if the file was changed since the last read: setting its times is such a change. So the cache distinguishes files that nginx
 * sends often from those sent once, even if its content changes in less than a day. No effect on the access times of a mount with
 * `noatime`.
 *
 * @param stats From just before; a file that was replaced since is left alone.
 * @throws The system error.
 */
export function recordReads(path: string, stats: Stats, reads: number): void {
  const file = openOwn(path)
  if (file === undefined) return
  try {
    const opened = fstatSync(file)
    if (opened.ino !== stats.ino || opened.dev !== stats.dev) return
    futimesSync(file, stats.atimeMs / 1000, markedMtime(stats, reads) / 1000)
  } finally {
    closeSync(file)
  }
}

/** @returns undefined for a file of another user: it can be removed, but only its owner may set its times. */
function openOwn(path: string): number | undefined {
  try {
    return openSync(path, FLAGS)
  } catch (error) {
    const code = systemErrorCode(error)
    if (code === 'EPERM' || code === 'EACCES') return undefined
    throw error
  }
}
