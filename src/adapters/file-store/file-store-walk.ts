import type { Dirent } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { keyPath, systemErrorCode, TMP, toUnavailable } from './file-store-paths.ts'

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
