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
