import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

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
