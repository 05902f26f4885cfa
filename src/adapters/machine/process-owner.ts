import { readFile, readlink } from 'node:fs/promises'
import type { ProcessOwner } from '../../domain/stored/node-entry.ts'

const BOOT_FILE = '/proc/sys/kernel/random/boot_id'
const NAMESPACE_LINK = '/proc/self/ns/pid'

/** This process in terms of its machine. @returns undefined where there is no /proc, as on macOS. */
export async function thisProcess(): Promise<ProcessOwner | undefined> {
  const boot = await thisBoot()
  const pid = Number(await unlessMissing(readlink('/proc/self')))
  const started = await startOf(pid)
  return boot === undefined || started === undefined ? undefined : { boot, pid, started }
}

/** @returns undefined for a process of another boot, machine or container: this one cannot see it. */
export async function isProcessAlive({ boot, pid, started }: ProcessOwner): Promise<boolean | undefined> {
  if (boot !== (await thisBoot())) return undefined
  return (await startOf(pid)) === started
}

/** The process namespace is part of it, because containers share the boot of their host, but no process ids. */
async function thisBoot(): Promise<string | undefined> {
  const boot = await unlessMissing(readFile(BOOT_FILE, 'utf8'))
  const namespace = await unlessMissing(readlink(NAMESPACE_LINK))
  return boot === undefined || namespace === undefined ? undefined : `${boot.trim()}/${namespace}`
}

/** A zombie has ended. @returns Clock ticks since the boot; undefined if there is no such process. @see proc(5) */
async function startOf(pid: number): Promise<string | undefined> {
  const stat = await unlessMissing(readFile(`/proc/${pid}/stat`, 'utf8'))
  // The name of the program is in parentheses and may contain spaces: the fields after it begin with the state, field 3.
  const [state, ...rest] = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? []
  return state === undefined || state === 'Z' || state === 'X' ? undefined : rest[22 - 4]
}

async function unlessMissing(text: Promise<string>): Promise<string | undefined> {
  try {
    return await text
  } catch (error) {
    // ESRCH: the process ended while its file was read.
    const code = error instanceof Error && 'code' in error ? error.code : ''
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES') return undefined
    throw error
  }
}
