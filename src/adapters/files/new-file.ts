import { randomUUID } from 'node:crypto'
import { closeSync, fdatasyncSync, futimesSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { type FileHandle, link, mkdir, open, rename, stat, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'

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

/**
 * Synchronous, for the threads of the disk writer. Replaces a file of this name.
 * @returns its path. @throws The error of the disk.
 */
export function writeNewFile(file: NewFile): string {
  return placePrepared({ ...file, aside: prepareNewFile(file), durable: false })
}

/** A complete file that does not have its name yet. */
export interface PreparedFile extends Pick<NewFile, 'folder' | 'name' | 'durable'> {
  readonly aside: string
}

/** The first half of `writeNewFile`. @returns the path of the complete file. */
export function prepareNewFile({ temporary, bytes, mtimeSeconds, durable }: Omit<NewFile, 'folder' | 'name'>): string {
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
    return aside
  } catch (error) {
    rmSync(aside, { force: true })
    throw error
  }
}

/** The second half of `writeNewFile`. With `durable`, the content is synced first. @returns the path. */
export function placePrepared({ aside, folder, name, durable }: PreparedFile): string {
  const path = join(folder, name)
  try {
    if (durable) syncFile(aside)
    inFolderSync(folder, () => renameSync(aside, path))
    return path
  } catch (error) {
    rmSync(aside, { force: true })
    throw error
  }
}

function syncFile(path: string): void {
  const file = openSync(path, 'r')
  try {
    fdatasyncSync(file)
  } finally {
    closeSync(file)
  }
}

interface Placement {
  /** Folder for the file while it is incomplete; on the same file system. It must exist. */
  readonly temporary: string
  readonly path: string
  /** Whether it replaces a file of this path. */
  readonly overwrite: boolean
  /** Whether the content must be on the disk before the file has its name. Default: true. */
  readonly durable?: boolean
}

export interface PlacedFile extends Placement {
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
  const { durable = true, mode = FILE_MODE, write } = file
  return await place(file, async (aside) => {
    await using handle = await open(aside, 'wx', mode)
    await write(handle)
    if (durable) await handle.sync()
  })
}

/**
 * Gives a complete file another name, as `placeNewFile` does with a new one. Both names share the bytes.
 * @returns undefined if the file system cannot do that, or the file is on another one.
 */
export async function placeLink(
  source: string,
  { durable = true, ...placement }: Placement,
): Promise<'created' | 'exists' | undefined> {
  try {
    return await place(placement, async (aside) => {
      await link(source, aside)
      if (!durable) return
      await using handle = await open(aside, 'r')
      await handle.sync()
    })
  } catch (error) {
    if (!UNLINKABLE.has(systemErrorCode(error))) throw error
    return undefined
  }
}

const UNLINKABLE = new Set(['EXDEV', 'EPERM', 'EACCES', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'])

async function place(
  { temporary, path, overwrite }: Placement,
  make: (aside: string) => Promise<void>,
): Promise<'created' | 'exists'> {
  const aside = join(temporary, randomUUID())
  try {
    await make(aside)
    // `link` refuses a taken name, `rename` replaces it.
    await inFolder(dirname(path), () => (overwrite ? rename(aside, path) : link(aside, path)))
    return 'created'
  } catch (error) {
    if (overwrite || systemErrorCode(error) !== 'EEXIST') throw error
    return 'exists'
  } finally {
    // `rm` would look at the file first, as it also removes folders.
    await unlink(aside).catch(ignoring('ENOENT'))
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

/**
 * `mkdir -p`. Node's own reports a read-only file system as ENOENT, and never returns in a folder that accepts no new folders
 * (`/proc`).
 *
 * @throws The system error of the first folder that cannot be made, such as EROFS.
 */
export async function makeFolder(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode })
  } catch (error) {
    if (await isFolder(path)) return
    if (!isMissing(error) || dirname(path) === path || (await isFolder(dirname(path)))) throw error
    await makeFolder(dirname(path), mode)
    await makeFolder(path, mode)
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch {
    // The error of making it is reported instead.
    return false
  }
}

/** Whether the disk fails for any request: it is full, over quota, read-only, not writable for this user, or broken. */
export function isDiskTrouble(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error && TROUBLE.has(String(error.code))
}

const TROUBLE = new Set([
  'ENOSPC',
  'EDQUOT',
  'EROFS',
  'EACCES',
  'EPERM',
  'EIO',
  // A file is in the place of a folder, or the other way round.
  'ENOTDIR',
  'EEXIST',
  'EISDIR',
  'EMFILE',
  'ENFILE',
  'ENODEV',
  'ESTALE',
])

/** Whether a file or folder does not exist. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

/** The code of a failed system call, such as `ENOENT`; empty for any other error. */
export function systemErrorCode(error: unknown): string {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return ''
  return typeof error.code === 'string' ? error.code : ''
}

/** For `catch` after a promise: `undefined` instead of this failure. */
export function ignoring(code: string): (error: unknown) => undefined {
  return (error) => {
    if (systemErrorCode(error) !== code) throw error
  }
}
