import { randomUUID } from 'node:crypto'
import { lstat, open, readdir, realpath, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CACHE_FOLDERS, CACHE_MARKER } from '../../domain/stored/cache-layout.ts'
import { FILE_MODE, FOLDER_MODE, isMissing, makeFolder } from '../files/new-file.ts'

/** The folder for the cache contains other files, which a sweep could delete. */
export class NotACacheError extends Error {}

/**
 * Makes the folders, and the marker that permits sweeps.
 * @throws NotACacheError if there is no marker, but a foreign file.
 */
export async function prepareCacheDir(cacheDir: string): Promise<void> {
  const marker = join(cacheDir, CACHE_MARKER.name)
  const isMarked = (await lstat(marker).catch(() => undefined))?.isFile() === true
  if (!isMarked) await assertNothingForeign(cacheDir)
  for (const folder of Object.values(CACHE_FOLDERS)) {
    await makeFolder(join(cacheDir, folder), FOLDER_MODE)
  }
  if (!isMarked) await writeFile(marker, CACHE_MARKER.content, { mode: FILE_MODE })
}

/**
 * The marker may have been deleted with everything else: pictures published since, and notes of the node, are accepted.
 */
async function assertNothingForeign(cacheDir: string): Promise<void> {
  const names = await readdir(cacheDir).catch((error: unknown) => {
    if (isMissing(error)) return []
    throw error
  })
  const foreign = names.find((name) => !OWN_NAMES.test(name))
  if (foreign === undefined) return
  throw new NotACacheError(
    `${cacheDir} is not a Darkroom cache, because it contains "${foreign}": use an empty or a new folder`,
  )
}

const OWN_NAMES = new RegExp(
  `^(?:${Object.values(CACHE_FOLDERS).join('|')}|invalidations-cursor|\\.sweep.*|lost\\+found)$`,
)

const HOUR_MS = 3_600_000

/** If no test file can be written, the result is the safe one: the node touches the files that it sends. */
const CANNOT_WRITE = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EPERM', 'ENOENT'])

/**
 * Finds out whether reading a file in the cache renews its access time, by reading one that was last read a day and an
 * hour ago: `relatime` renews it then too.
 *
 * @returns `kernel`: it does. `manual`: it does not (`noatime`), or the folder can't be written to. Then the node has
 *   to touch the files that it sends, and files that nginx sends by itself expire by the time since their publication.
 */
export async function probeAccessTimes(cacheDir: string): Promise<'kernel' | 'manual'> {
  const path = `${cacheDir}/${CACHE_FOLDERS.temporary}/atime-probe-${randomUUID()}`
  try {
    await using file = await open(path, 'wx+')
    await file.write('darkroom')
    const atimeMs = Date.now() - 25 * HOUR_MS
    await file.utimes(new Date(atimeMs), new Date(atimeMs - HOUR_MS))
    await file.read(Buffer.alloc(8), 0, 8, 0)
    return (await lstat(path)).atimeMs > atimeMs + HOUR_MS ? 'kernel' : 'manual'
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && CANNOT_WRITE.has(String(cause.code))) return 'manual'
    throw cause
  } finally {
    await rm(path, { force: true })
  }
}

/** Permissions to enter a folder. */
export interface FolderAccess {
  readonly path: string
  /** Such as `0750`. */
  readonly mode: string
  readonly uid: number
  readonly gid: number
  /** Whether only its owner and root may enter it. */
  readonly isOwnersAlone: boolean
}

const ENTER_AS_GROUP_OR_OTHER = 0o011
const PERMISSIONS = 0o7777

/** Permissions of a folder and its parents, from the root: a reader of a file has to enter each. */
export async function folderAccess(folder: string): Promise<readonly FolderAccess[]> {
  const paths = [await realpath(folder)]
  for (let path = paths[0] ?? '/'; path !== dirname(path); path = dirname(path)) paths.unshift(dirname(path))
  return await Promise.all(
    paths.map(async (path) => {
      const { mode, uid, gid } = await stat(path)
      const octal = (mode & PERMISSIONS).toString(8).padStart(4, '0')
      return { path, mode: octal, uid, gid, isOwnersAlone: (mode & ENTER_AS_GROUP_OR_OTHER) === 0 }
    }),
  )
}
