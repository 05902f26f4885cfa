import { randomUUID } from 'node:crypto'
import { lstatSync, lutimesSync, readFileSync, readlinkSync, renameSync, symlinkSync, unlinkSync } from 'node:fs'
import { systemErrorCode } from '../files/new-file.ts'
import { SweepRefused } from './cache-sweep-folder.ts'

const LOCK_FILE = '.sweep.lock'
const RENEW_MS = 30_000
/** A holder that cannot be looked up (another container, before a reboot) is dead after this time without a renewal. */
const EXPIRE_MS = 5 * 60_000

export interface SweepLock {
  /** To be called often; it writes every half minute. */
  renew(): void
  release(): void
}

/**
 * Keeps node and cron from sweeping at once. The lock is a symbolic link whose target names its holder: it is created in one
 * call, needs no block on a full disk, and is never read half-written. The lock of a dead holder is recognized by the process
 * table, and across containers by the time of its last renewal.
 *
 * @throws SweepRefused `locked`.
 */
export function takeSweepLock(folder: string): SweepLock {
  const path = `${folder}/${LOCK_FILE}`
  const holder = describeProcess('self')
  if (!make(path, holder)) {
    const other = readHolder(path)
    if (other !== undefined && isHeld(path, other)) throw locked(other)
    if (other !== undefined) setAside(path, other)
    if (!make(path, holder)) throw locked(other)
  }
  let renewedAt = performance.now()
  return {
    renew() {
      if (performance.now() - renewedAt < RENEW_MS) return
      renewedAt = performance.now()
      if (readHolder(path) === holder) lutimesSync(path, new Date(), new Date())
    },
    release() {
      if (readHolder(path) === holder) unlinkSync(path)
    },
  }
}

function locked(holder = 'unknown'): SweepRefused {
  return new SweepRefused('locked', `Another sweep is running (process ${holder.split(':')[0]})`)
}

/** @returns false if the lock exists. On a disk without a free inode the sweep runs without a lock. */
function make(path: string, holder: string): boolean {
  try {
    symlinkSync(holder, path)
    return true
  } catch (cause) {
    const code = systemErrorCode(cause)
    if (code === 'EEXIST') return false
    if (code === 'ENOSPC' || code === 'EDQUOT') return true
    throw cause
  }
}

/** @returns undefined if there is no lock. */
function readHolder(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch (cause) {
    if (systemErrorCode(cause) === 'ENOENT') return undefined
    // A regular file in its place has no holder: only its time counts.
    if (systemErrorCode(cause) === 'EINVAL') return 'unknown'
    throw cause
  }
}

function isHeld(path: string, holder: string): boolean {
  const [pid, started, ...place] = holder.split(':')
  const [, ownStarted, ...ownPlace] = describeProcess('self').split(':')
  if (pid !== undefined && started !== undefined && ownStarted !== undefined && place.join() === ownPlace.join()) {
    return describeProcess(pid) === holder
  }
  const stats = lstatSync(path, { throwIfNoEntry: false })
  return stats !== undefined && Math.abs(Date.now() - stats.mtimeMs) < EXPIRE_MS
}

/** Removes a dead holder's lock. It is renamed first: if it is the new lock of another process, it is put back. */
function setAside(path: string, holder: string): void {
  const aside = `${path}.${randomUUID()}`
  try {
    renameSync(path, aside)
  } catch (cause) {
    if (systemErrorCode(cause) === 'ENOENT') return
    throw cause
  }
  const found = readHolder(aside)
  if (found !== undefined && found !== holder) make(path, found)
  unlinkSync(aside)
}

/**
 * Process id, start time in ticks since boot, pid namespace and boot, joined by colons: the first two tell a process from
 * a later one with the same id, the others give the scope of the id. Without such a process, or without /proc: a unique
 * word.
 *
 * @param pid Or `self`.
 */
function describeProcess(pid: string): string {
  try {
    // The name in parentheses may contain spaces and parentheses; the start time is the 20th field after it.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
    const namespace = readlinkSync('/proc/self/ns/pid').replace(/\D/g, '')
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').slice(0, 8)
    return [Number.parseInt(stat, 10), started, namespace, boot].join(':')
  } catch (cause) {
    if (systemErrorCode(cause) === '') throw cause
    return randomUUID()
  }
}
