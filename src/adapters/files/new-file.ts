import { randomUUID } from 'node:crypto'
import { closeSync, fdatasyncSync, futimesSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { type FileHandle, link, mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isMissing, systemErrorCode } from './disk-trouble.ts'

// nginx reads renditions as another user of the same group.
export const FOLDER_MODE = 0o750
export const FILE_MODE = 0o640
/** Another process may remove a new folder before it is used, several times in a row. */
const ATTEMPTS = 20

/** A file that appears at once and complete. */
export interface NewFile {
  /** Folder for the file while it is incomplete; on the same file system. */
  readonly temporary: string
  readonly folder: string
  readonly name: string
  readonly bytes: Uint8Array
  /** Seconds since 1970; absent: now. */
  readonly mtimeSeconds?: number
  /** Whether the content must be on the disk before the file has its name. */
  readonly durable: boolean
}

/** Synchronous, for the threads of the disk writer. Replaces a file of this name. @throws The error of the disk. */
export function writeNewFile({ temporary, folder, name, bytes, mtimeSeconds, durable }: NewFile): void {
  const aside = join(temporary, `out-${randomUUID()}`)
  const file = inFolderSync(temporary, () => openSync(aside, 'wx', FILE_MODE))
  try {
    try {
      writeFileSync(file, bytes)
      if (mtimeSeconds !== undefined) futimesSync(file, Date.now() / 1000, mtimeSeconds)
      if (durable) fdatasyncSync(file)
    } finally {
      closeSync(file)
    }
    inFolderSync(folder, () => renameSync(aside, join(folder, name)))
  } catch (error) {
    rmSync(aside, { force: true })
    throw error
  }
}

export interface PlacedFile {
  /** Folder for the file while it is incomplete; on the same file system. It must exist. */
  readonly temporary: string
  readonly path: string
  /** Whether it replaces a file of this path. */
  readonly overwrite: boolean
  /** Default: `FILE_MODE`. */
  readonly mode?: number
  write(file: FileHandle): Promise<void>
}

/**
 * Asynchronous, for content of any size. The content is on the disk before the file has its name; the name itself is durable
 * when the caller has synced the folder.
 * @returns `exists` if there is a file already, and `overwrite` is false. @throws The error of `write` or of the disk.
 */
export async function placeNewFile(file: PlacedFile): Promise<'created' | 'exists'> {
  const { temporary, path, overwrite, mode = FILE_MODE, write } = file
  const aside = join(temporary, randomUUID())
  try {
    {
      await using handle = await open(aside, 'wx', mode)
      await write(handle)
      await handle.sync()
    }
    // `link` refuses a taken name, `rename` replaces it.
    await inFolder(dirname(path), () => (overwrite ? rename(aside, path) : link(aside, path)))
    return 'created'
  } catch (error) {
    if (overwrite || systemErrorCode(error) !== 'EEXIST') throw error
    return 'exists'
  } finally {
    await rm(aside, { force: true })
  }
}

/** Makes `folder` if it turns out to be missing. */
export async function inFolder<T>(folder: string, use: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await use()
    } catch (error) {
      if (!isMissing(error) || attempt === ATTEMPTS) throw error
    }
    await mkdir(folder, { recursive: true, mode: FOLDER_MODE })
  }
}

function inFolderSync<T>(folder: string, use: () => T): T {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return use()
    } catch (error) {
      if (!isMissing(error) || attempt === ATTEMPTS) throw error
    }
    mkdirSync(folder, { recursive: true, mode: FOLDER_MODE })
  }
}
