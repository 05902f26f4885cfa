import { randomUUID } from 'node:crypto'
import { lstatSync, lutimesSync, readFileSync, readlinkSync, renameSync, symlinkSync, unlinkSync } from 'node:fs'
import { SweepRefused, systemErrorCode } from './cache-sweep-folder.ts'

const LOCK_FILE = '.sweep.lock'
const RENEW_MS = 30_000
/** A holder that we can't look up (another container, before a reboot) has died when it has not renewed for this long. */
const EXPIRE_MS = 5 * 60_000

export interface SweepLock {
  /** To be called often; writes every half minute. */
  renew(): void
  release(): void
}

/**
 * Keeps node and cron from sweeping at once. The lock is a symbolic link whose target names its holder: made and filled
 * in one call, without a block on a full disk, and never read half-written. A holder that died leaves it behind; that
 * is found out by the process table, and across containers by the time at which the lock was last renewed.
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

/** @returns false if the lock is there. A disk without a free inode gets a sweep without a lock: it needs one most. */
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

/** @returns undefined if nobody holds it. */
function readHolder(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch (cause) {
    if (systemErrorCode(cause) === 'ENOENT') return undefined
    // A plain file in its place is nobody's: held for as long as its time says.
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

/** Removes a dead holder's lock. Renamed first: if somebody was faster it is theirs by now, and goes back. */
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
 * a later one with the same id, the others say where they hold. Where there is no such process, or no /proc, one word
 * that nobody else has.
 *
 * @param pid Or `self`.
 */
function describeProcess(pid: string): string {
  try {
    // The name in parentheses may itself hold spaces and parentheses; the start time is the 20th field after it.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
    const namespace = readlinkSync('/proc/self/ns/pid').replace(/\D/g, '')
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').slice(0, 8)
    return [Number.parseInt(stat, 10), started, namespace, boot].join(':')
  } catch (cause) {
    if (systemErrorCode(cause) === undefined) throw cause
    return randomUUID()
  }
}
