import type { Dirent } from 'node:fs'
import { readdir } from 'node:fs/promises'
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

export interface WantedKeys {
  readonly root: string
  readonly prefix: string
  readonly after: string
  readonly signal: AbortSignal
}

/** The keys under `root` in bytewise order, as `ObjectStore.list` promises. Holds the names of one folder at each level. */
export function walkKeys(wanted: WantedKeys): AsyncIterable<string> {
  const folder = wanted.prefix.slice(0, wanted.prefix.lastIndexOf('/') + 1)
  if (folder !== '') keyPath(wanted.root, folder.slice(0, -1))
  return walk(wanted, folder)
}

/** `folder` is empty or ends with a slash: it is how the keys in it begin. */
async function* walk(wanted: WantedKeys, folder: string): AsyncIterable<string> {
  wanted.signal.throwIfAborted()
  for (const { key, isFolder } of await entriesOf(wanted.root, folder)) {
    if (!key.startsWith(wanted.prefix) && !(isFolder && wanted.prefix.startsWith(key))) continue
    // Against a key that is not inside, all that a folder holds sorts like the folder.
    if (compareBytes(key, wanted.after) <= 0 && !(isFolder && wanted.after.startsWith(key))) continue
    if (isFolder) yield* walk(wanted, key)
    else yield key
  }
}

async function entriesOf(root: string, folder: string): Promise<{ key: string; isFolder: boolean }[]> {
  return (await namesIn(join(root, folder)))
    .filter((entry) => (entry.isFile() || entry.isDirectory()) && !(folder === '' && entry.name === TMP))
    .map((entry) => ({ key: `${folder}${entry.name}${entry.isDirectory() ? '/' : ''}`, isFolder: entry.isDirectory() }))
    .toSorted((a, b) => compareBytes(a.key, b.key))
}

async function namesIn(path: string): Promise<Dirent[]> {
  try {
    return await readdir(path, { withFileTypes: true })
  } catch (error) {
    // Never made, or removed while we walked.
    if (systemErrorCode(error) === 'ENOENT') return []
    throw toUnavailable(error)
  }
}

function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
