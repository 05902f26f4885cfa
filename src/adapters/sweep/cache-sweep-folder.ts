import { randomUUID } from 'node:crypto'
import { lstatSync, readFileSync, realpathSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { CACHE_FOLDERS, CACHE_MARKER } from '../../domain/stored/cache-layout.ts'
import type { DiskSpace, SweepClock } from '../../domain/sweep/sweep-plan.ts'
import { systemErrorCode } from './cache-sweep-walk.ts'

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
