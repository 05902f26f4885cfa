import { randomUUID } from 'node:crypto'
import { closeSync, fdatasyncSync, futimesSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isMissing } from '../files/disk-trouble.ts'

/** A file that is to appear at once and whole. */
export interface NewFile {
  /** Where it is written before it has its name; on the same file system. */
  readonly temporary: string
  readonly folder: string
  readonly name: string
  readonly bytes: Uint8Array
  /** Seconds since 1970; absent: now. */
  readonly mtimeSeconds?: number
  /** Whether it must be on the disk before it has its name. */
  readonly durable: boolean
}

// nginx reads renditions as another user of the same group.
export const FOLDER_MODE = 0o750
export const FILE_MODE = 0o640
/** A sweep can be faster several times in a row. */
export const ATTEMPTS = 20

/** Blocks until it is there. What the disk refuses is thrown as it is, and nothing is left of the file. */
export function writeNewFile({ temporary, folder, name, bytes, mtimeSeconds, durable }: NewFile): void {
  const aside = join(temporary, `out-${randomUUID()}`)
  const file = inFolder(temporary, () => openSync(aside, 'wx', FILE_MODE))
  try {
    try {
      writeFileSync(file, bytes)
      if (mtimeSeconds !== undefined) futimesSync(file, Date.now() / 1000, mtimeSeconds)
      if (durable) fdatasyncSync(file)
    } finally {
      closeSync(file)
    }
    inFolder(folder, () => renameSync(aside, join(folder, name)))
  } catch (error) {
    rmSync(aside, { force: true })
    throw error
  }
}

/**
 * As a rule the folder is there: it is made when it turns out to be missing. A sweep may remove it between its making and
 * its use, so both are tried again.
 */
function inFolder<T>(folder: string, use: () => T): T {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return use()
    } catch (error) {
      if (!isMissing(error) || attempt === ATTEMPTS) throw error
    }
    mkdirSync(folder, { recursive: true, mode: FOLDER_MODE })
  }
}
