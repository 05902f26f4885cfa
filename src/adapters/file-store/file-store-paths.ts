import { join } from 'node:path'
import { ServiceError, UnavailableError } from '../../errors.ts'

/** The folder in the store's root where files are written aside. No key begins with it. */
export const TMP = 'tmp'

/**
 * The file of a key.
 * @throws {RangeError} For what is no key, above all what would lead out of `root`. Keys are ours, so that is a bug.
 */
export function keyPath(root: string, key: string): string {
  const segments = key.split('/')
  const odd = segments.some(
    (segment) => segment === '' || segment === '.' || segment === '..' || segment.includes('\0'),
  )
  if (odd || segments[0] === TMP) throw new RangeError(`Invalid key: ${JSON.stringify(key)}`)
  return join(root, ...segments)
}

/** The code of a failed system call, as `ENOENT`; empty for another error. */
export function systemErrorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

/** For `catch` after a promise: `undefined` instead of that one failure. */
export function ignoring(code: string): (error: unknown) => undefined {
  return (error) => {
    if (systemErrorCode(error) !== code) throw error
  }
}

/** True for a disk or quota that has no room left, or no inodes. */
export function isFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT'].includes(systemErrorCode(error))
}

/** `store_full` for a full disk or quota, else `store_unavailable`. Passes on what has been translated already. */
export function toUnavailable(cause: unknown): Error {
  if (cause instanceof ServiceError) return cause
  if (isFull(cause)) {
    return new UnavailableError('store_full', 'The object store is full', { cause })
  }
  return new UnavailableError('store_unavailable', "The store's disk failed", { cause })
}
