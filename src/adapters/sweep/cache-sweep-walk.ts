import { lstatSync, readdirSync, rmdirSync, type Stats, unlinkSync } from 'node:fs'

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
