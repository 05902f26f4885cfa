import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * `mkdir -p`. Node's own reports a read-only file system as ENOENT, and never returns where a folder that exists takes no
 * others (`/proc`).
 *
 * @throws what the system says of the first folder that cannot be made, such as EROFS.
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
    // Whatever is wrong with it, the error of making it says.
    return false
  }
}

/**
 * True for a failure of the disk that another request would meet as well: full, over quota, read-only, not ours to write,
 * or failing. Anything else is a bug, or the caller's to understand.
 */
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
  // A file is where a folder should be, or the other way round.
  'ENOTDIR',
  'EEXIST',
  'EISDIR',
  'EMFILE',
  'ENFILE',
  'ENODEV',
  'ESTALE',
])

/** True if a file or folder is not there. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
