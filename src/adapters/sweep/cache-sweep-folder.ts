import { randomUUID } from 'node:crypto'
import {
  lstatSync,
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
import type { DiskSpace, SweepClock } from '../../domain/sweep/sweep-plan.ts'

const CLOCK_FILE = '.sweep-clock'

/** A sweep that did not begin. The message is for the operator. */
export class SweepRefused extends Error {
  readonly reason: 'not_a_cache' | 'locked'
  constructor(reason: 'not_a_cache' | 'locked', message: string) {
    super(message)
    this.name = new.target.name
    this.reason = reason
  }
}

export interface CacheFolder {
  /** Without symbolic links. */
  readonly path: string
  readonly device: number
  /** When the marker was written, ms since 1970. */
  readonly madeAtMs: number
}

/**
 * Makes sure that everything below a folder may be deleted. The folder itself may be reached by a symbolic link: the
 * operator named it, and a cache on another disk is often linked to. What is in it may not.
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
    // A user of whom the system knows no home, or one that was never made: nothing to be mistaken for.
    return false
  }
}

export function diskSpace(path: string): DiskSpace {
  const { bsize, blocks, bavail, files, ffree } = statfsSync(path)
  return { totalBytes: blocks * bsize, freeBytes: bavail * bsize, totalInodes: files, freeInodes: ffree }
}

/** What the last sweep said of the time; for the first one, that the cache was made then. */
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

/** Leaves word for the next sweep. On a full disk the old word stays: making room must not fail for that. */
export function saveClock(folder: CacheFolder, { sweptAtMs, gapMs, notBeforeMs }: SweepClock): void {
  const temporary = `${folder.path}/${CACHE_FOLDERS.temporary}/sweep-clock-${randomUUID()}`
  try {
    writeFileSync(temporary, `${sweptAtMs} ${gapMs} ${notBeforeMs}\n`)
    renameSync(temporary, `${folder.path}/${CLOCK_FILE}`)
  } catch (cause) {
    const code = systemErrorCode(cause)
    // ENOENT: there is no folder for temporary files. Whoever serves from this cache makes it again.
    if (code !== 'ENOSPC' && code !== 'EDQUOT' && code !== 'ENOENT') throw cause
  } finally {
    rmSync(temporary, { force: true })
  }
}

/** What a walk has met that it could not deal with. */
export interface WalkTally {
  /** Links, sockets, other file systems: neither followed nor removed. */
  skipped: number
  failed: number
  /** The system's message of the first failure, with a path: for the operator only. */
  firstFailure: string | undefined
}

export interface WalkPolicy {
  /** Device that the walk stays on. */
  readonly device: number
  readonly dryRun: boolean
  readonly tally: WalkTally
  /** Asked before every folder; false ends the walk. */
  goesOn(depth: number): boolean
  /** Whether a file goes. */
  removesFile(stats: Stats): boolean
  /** Told of every file that stays. */
  onKept(stats: Stats, path: string): void
  /** Told of every file that is gone; `stats` are those from just before. */
  onRemoved(stats: Stats): void
  /** Whether a folder goes if it is empty; `stats` are those from before the walk through it. */
  removesFolder(stats: Stats, depth: number): boolean
}

/**
 * Walks from `path` depth first and removes what the policy says. Memory is bounded by the largest folder. Never goes
 * through a symbolic link or onto another file system. What somebody else has removed in the meantime is no failure;
 * what can't be removed is tallied, and the walk goes on.
 *
 * The calls are synchronous because each takes microseconds, and a promise around it costs more than that: run it in a
 * thread of its own.
 *
 * @param siblings Inodes removed from the same folder: their other names go with them, although the removal of the first
 *   has renewed the ctime of the rest.
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
 * @returns `gone`: removed by somebody else in the meantime. `failed`: tallied; or untallied, for a folder that was to be
 *   removed and that somebody has just written to.
 */
export function attempt<T>(tally: WalkTally, call: () => T): T | 'gone' | 'failed' {
  try {
    return call()
  } catch (cause) {
    const code = systemErrorCode(cause)
    if (code === undefined) throw cause
    if (code === 'ENOENT' || code === 'ENOTDIR') return 'gone'
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return 'failed'
    tally.failed += 1
    tally.firstFailure ??= cause instanceof Error ? cause.message : code
    return 'failed'
  }
}

/** @returns The code of a failed system call (`ENOENT`); undefined for any other error. */
export function systemErrorCode(cause: unknown): string | undefined {
  if (!(cause instanceof Error) || !('code' in cause) || !('syscall' in cause)) return undefined
  return typeof cause.code === 'string' ? cause.code : undefined
}
