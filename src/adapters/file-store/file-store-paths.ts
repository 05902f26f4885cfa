import type { Dirent } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ServiceError, UnavailableError } from '../../errors.ts'
import { systemErrorCode } from '../files/new-file.ts'

/** Folder for temporary files, in the store's root. No key begins with it. */
export const TMP = 'tmp'

/**
 * The file of a key.
 * @throws {RangeError} For an invalid key, such as one that leads out of `root`. Clients do not choose keys, so it is a bug.
 */
export function keyPath(root: string, key: string): string {
  const segments = key.split('/')
  const odd = segments.some(
    (segment) => segment === '' || segment === '.' || segment === '..' || segment.includes('\0'),
  )
  if (odd || segments[0] === TMP) throw new RangeError(`Invalid key: ${JSON.stringify(key)}`)
  return join(root, ...segments)
}

/** Whether the disk or the quota has no space or no inodes left. */
export function isFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT'].includes(systemErrorCode(error))
}

/** `store_full` for a full disk or quota, else `store_unavailable`. A `ServiceError` is returned as it is. */
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

/** @param folder Prefix of the keys in it: empty, or ends with a slash. */
async function* walk(wanted: WantedKeys, folder: string): AsyncIterable<string> {
  wanted.signal.throwIfAborted()
  for (const { key, isFolder } of await entriesOf(wanted.root, folder)) {
    if (!key.startsWith(wanted.prefix) && !(isFolder && wanted.prefix.startsWith(key))) continue
    // Compared with a key outside of it, all keys of a folder sort like the folder.
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
    // It never existed, or was removed during the walk.
    if (systemErrorCode(error) === 'ENOENT') return []
    throw toUnavailable(error)
  }
}

function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
