import { randomUUID } from 'node:crypto'
import { lstat, open, rm } from 'node:fs/promises'
import { CACHE_FOLDERS } from '../../domain/stored/cache-layout.ts'

const HOUR_MS = 3_600_000

/** Without a file to try it on, the safe assumption: the node touches what it sends. */
const CANNOT_WRITE = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EPERM', 'ENOENT'])

/**
 * Finds out whether reading a file in the cache renews its access time, by reading one that was last read a day and an
 * hour ago: `relatime` renews it then too.
 *
 * @returns `kernel`: it does. `manual`: it does not (`noatime`), or the folder can't be written to. Then the node has to
 *   touch what it sends, and files that nginx sends by itself expire by the time since their publication.
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
