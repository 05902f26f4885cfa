import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { copyFile, lstat, mkdir, readdir, rename, rm, unlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import pLimit from 'p-limit'
import {
  planEviction,
  type QuarantineEntry,
  type QuarantineLimits,
  quarantineBytes,
} from '../../domain/intake/quarantine-plan.ts'
import type { Quarantine, Rejection } from '../../service/ports/intake.ts'
import { systemErrorCode } from '../files/new-file.ts'
import { type LocalFile, nameAside, takeAway } from './spool-folder.ts'

export interface QuarantineUse {
  readonly files: number
  readonly bytes: number
}

export interface QuarantineFolder extends Quarantine<LocalFile> {
  use(): QuarantineUse
}

const REASON = '.json'
/** Bytes of a file's name that are kept: the names of time and reason are added. */
const NAME_BYTES = 160

/**
 * Rejected files with their reasons: `<root>/<source>/<time>-<random>-<name>` and the same with `.json`.
 * @param root Its existing files count towards the limits.
 */
export async function createQuarantine(
  root: string,
  { now, ...limits }: QuarantineLimits & { readonly now: () => number },
): Promise<QuarantineFolder> {
  await mkdir(root, { recursive: true })
  let entries: readonly QuarantineEntry[] = await existingEntries(root)
  /** One change after the other: each makes room for its own bytes only. */
  const inTurn = pLimit(1)

  async function evict(room: number): Promise<void> {
    const evicted = new Set(planEviction(entries, limits, { now: now(), room }))
    for (const { path } of evicted) await removeEntry(path)
    if (evicted.size > 0) entries = entries.filter((entry) => !evicted.has(entry))
  }

  /** The reason first: a file without one would not tell why it is here. On a full disk the oldest entries make room. */
  async function keep(file: LocalFile, target: string, rejection: Rejection): Promise<boolean> {
    for (;;) {
      try {
        await writeReason(target, file, rejection)
        break
      } catch (error) {
        await rm(`${target}${REASON}`, { force: true })
        const [oldest, ...others] = entries
        if (systemErrorCode(error) !== 'ENOSPC' || oldest === undefined) throw error
        await removeEntry(oldest.path)
        entries = others
      }
    }
    if (await moveAway(file, target)) return true
    await rm(`${target}${REASON}`, { force: true })
    return false
  }

  async function put(file: LocalFile, rejection: Rejection): Promise<'kept' | 'deleted' | 'changed'> {
    const isKept = quarantineBytes(file.sizeBytes) <= limits.maxBytes
    const bytes = quarantineBytes(isKept ? file.sizeBytes : 0)
    await evict(bytes)
    const target = join(root, folderOf(rejection.source), nameOf(file, rejection))
    await mkdir(dirname(target), { recursive: true })
    if (!(await keep(file, target, rejection))) return 'changed'
    if (!isKept) await rm(target)
    entries = [...entries, { path: target, bytes, rejectedMs: rejection.rejectedMs }]
    return isKept ? 'kept' : 'deleted'
  }

  return {
    put: (file, rejection) => inTurn(() => put(file, rejection)),
    sweep: () => inTurn(() => evict(0)),
    use: () => ({ files: entries.length, bytes: entries.reduce((sum, { bytes }) => sum + bytes, 0) }),
  }
}

async function existingEntries(root: string): Promise<readonly QuarantineEntry[]> {
  const names = await readdir(root, { recursive: true, withFileTypes: true })
  const files = new Map<string, QuarantineEntry>()
  for (const entry of names.filter((name) => name.isFile())) {
    const path = join(entry.parentPath, entry.name)
    const subject = path.endsWith(REASON) ? path.slice(0, -REASON.length) : path
    const { size, ctimeMs } = await lstat(path)
    const known = files.get(subject)?.bytes ?? quarantineBytes(0)
    const bytes = path === subject ? quarantineBytes(size) : known
    files.set(subject, { path: subject, bytes, rejectedMs: ctimeMs })
  }
  return [...files.values()].toSorted((a, b) => a.rejectedMs - b.rejectedMs)
}

async function removeEntry(path: string): Promise<void> {
  await rm(path, { force: true })
  await rm(`${path}${REASON}`, { force: true })
}

async function moveAway(file: LocalFile, target: string): Promise<boolean> {
  try {
    return (await takeAway(file, Buffer.from(target))) !== undefined
  } catch (error) {
    if (systemErrorCode(error) !== 'EXDEV') throw error
  }
  // Another file system: first aside within the spool folder, then copied.
  const aside = nameAside(file)
  if ((await takeAway(file, aside)) === undefined) return false
  try {
    await copyFile(aside, target, constants.COPYFILE_EXCL)
  } catch (error) {
    await rename(aside, file.local)
    throw error
  }
  await unlink(aside)
  return true
}

async function writeReason(target: string, file: LocalFile, rejection: Rejection): Promise<void> {
  const reason = {
    file: file.path,
    source: rejection.source,
    bytes: file.sizeBytes,
    modifiedAt: new Date(file.modifiedMs).toISOString(),
    rejectedAt: new Date(rejection.rejectedMs).toISOString(),
    error: rejection.code,
    message: rejection.message,
  }
  await writeFile(`${target}${REASON}`, `${JSON.stringify(reason, undefined, 2)}\n`, { flag: 'wx' })
}

function nameOf({ path }: LocalFile, { rejectedMs }: Rejection): string {
  const time = new Date(rejectedMs).toISOString().replaceAll(/[-:]|\.\d+/g, '')
  const name = Buffer.from(basename(path)).subarray(0, NAME_BYTES).toString().replaceAll('\u{fffd}', '_')
  return `${time}-${randomBytes(4).toString('hex')}-${name}`
}

function folderOf(source: string): string {
  return source.replaceAll('\u{fffd}', '_')
}
