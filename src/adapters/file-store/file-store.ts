import { createHash, randomUUID } from 'node:crypto'
import { createReadStream, mkdirSync } from 'node:fs'
import { access, constants, link, mkdir, open, readdir, rename, rm, rmdir, stat, unlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { UnavailableError } from '../../errors.ts'
import type { ObjectSource, ObjectStat, ObjectStore, PutOptions } from '../../service/ports/store.ts'
import { objectBody } from '../calls/timed-body.ts'
import { makeFolder } from '../files/disk-trouble.ts'
import { ignoring, keyPath, systemErrorCode, TMP, toUnavailable, walkKeys } from './file-store-paths.ts'
import { type FileStoreReserve, RESERVE } from './file-store-reserve.ts'

/** Each read is a turn of another thread, so 64 KB, Node's own measure, costs more time than it saves memory. */
const READ_BYTES = 256 * 1024
const DIRECTORY_MODE = 0o750
const FILE_MODE = 0o640
/** Longer than any put takes: a younger file may belong to another process that is still writing it. */
const ORPHAN_AGE_MS = 3_600_000
/** A remove may take the folder away between making and using it; each round loses only to another remove. */
const PUBLISH_ATTEMPTS = 20

export interface FileStoreOptions {
  /** Absent: on a full disk nothing can be written, not even what a deletion has to write. */
  readonly reserve?: FileStoreReserve
  /** `check` is content with a folder that can only be read. */
  readonly readOnly?: boolean
}

/**
 * Makes the folder of a store if it is missing. Unlike `createFileStore` it does not hold up the process on a hung mount.
 * @throws what the system says, such as EROFS.
 */
export async function prepareFileStore(folder: string): Promise<void> {
  await makeFolder(join(resolve(folder), TMP), DIRECTORY_MODE)
}

/**
 * Objects as files under `root`, for one machine; several processes may share it. The disk has no deadline of its own: a
 * call on a hung mount hangs.
 *
 * @param folder Made if missing. Should it vanish later (a disk unmounted), that is an outage, not an empty store.
 */
export function createFileStore(folder: string, { reserve, readOnly = false }: FileStoreOptions = {}): ObjectStore {
  // Climbing from a key's folder to the root compares whole paths.
  const root = resolve(folder)
  const tmp = join(root, TMP)
  const neededAccess = constants.R_OK | constants.X_OK | (readOnly ? 0 : constants.W_OK)
  mkdirSync(tmp, { recursive: true, mode: DIRECTORY_MODE })

  async function statKey(key: string, signal: AbortSignal): Promise<ObjectStat | undefined> {
    signal.throwIfAborted()
    const path = keyPath(root, key)
    return orAbsent(tmp, async () => {
      const found = await stat(path)
      return found.isFile() ? { sizeBytes: found.size, modifiedAt: found.mtime } : undefined
    })
  }

  async function* list(prefix: string, after: string, signal: AbortSignal): AsyncIterable<string> {
    await orAbsent(tmp, () => access(tmp))
    yield* walkKeys({ root, prefix, after, signal })
  }

  return {
    async open(key, signal) {
      signal.throwIfAborted()
      const path = keyPath(root, key)
      return orAbsent(tmp, async () => {
        const handle = await open(path, 'r')
        const found = await handle.stat()
        if (!found.isFile()) {
          await handle.close()
          return undefined
        }
        const { size: sizeBytes } = found
        const body = handle.createReadStream({ highWaterMark: Math.max(1, Math.min(sizeBytes, READ_BYTES)) })
        return { sizeBytes, body: objectBody(body, { sizeBytes, signal }) }
      })
    },

    stat: statKey,

    async put(key, source, options, signal) {
      const path = keyPath(root, key)
      const write = () => putFile({ path, root }, source, options, signal)
      try {
        if (reserve && options.forDeletion) return await reserve.lend(write)
        await reserve?.fill()
        return await write()
      } catch (error) {
        signal.throwIfAborted()
        throw toUnavailable(error)
      }
    },

    async remove(key, signal) {
      signal.throwIfAborted()
      const path = keyPath(root, key)
      await orAbsent(tmp, async () => {
        await unlink(path)
        await syncDirectories(dirname(path), dirname(path))
        await removeEmptyDirectories(dirname(path), root)
        await reserve?.refill()
      })
    },

    list,

    async *listObjects(prefix, after, signal) {
      for await (const key of list(prefix, after, signal)) {
        const found = await statKey(key, signal)
        // Removed while we walked.
        if (found !== undefined) yield { key, ...found }
      }
    },

    async check(signal) {
      signal.throwIfAborted()
      try {
        await access(tmp, neededAccess)
      } catch (error) {
        throw toUnavailable(error)
      }
    },

    // A folder that cannot be written fails the check already.
    async mayWrite(signal) {
      signal.throwIfAborted()
      return true
    },

    close() {},
  }
}

/** Deletes what a killed process left in the middle of a put. To be called at start; safe while others write. */
export async function removeOrphans(root: string, now: number): Promise<void> {
  const tmp = join(root, TMP)
  for (const name of await readdir(tmp)) {
    if (name === RESERVE) continue
    const path = join(tmp, name)
    const found = await stat(path).catch(ignoring('ENOENT'))
    if (found !== undefined && now - found.mtimeMs > ORPHAN_AGE_MS) await rm(path, { force: true })
  }
}

interface Place {
  readonly path: string
  readonly root: string
}

async function putFile(
  place: Place,
  source: ObjectSource,
  options: PutOptions,
  signal: AbortSignal,
): Promise<'created' | 'exists'> {
  const aside = join(place.root, TMP, randomUUID())
  try {
    await writeAside(aside, source, { ...options, signal })
    return await publish(aside, { ...place, overwrite: options.overwrite === true })
  } finally {
    await rm(aside, { force: true })
  }
}

async function writeAside(
  aside: string,
  source: ObjectSource,
  { md5, sizeBytes, signal }: PutOptions & { signal: AbortSignal },
): Promise<void> {
  const hash = createHash('md5')
  let writtenBytes = 0
  await using file = await open(aside, 'wx', FILE_MODE)
  const chunks: Iterable<Buffer> | AsyncIterable<Buffer> =
    'bytes' in source ? [source.bytes] : createReadStream(source.path)
  for await (const chunk of chunks) {
    signal.throwIfAborted()
    hash.update(chunk)
    writtenBytes += chunk.length
    await file.writeFile(chunk)
  }
  if (writtenBytes !== sizeBytes || hash.digest('hex') !== md5) {
    throw new UnavailableError('store_unavailable', 'The object was damaged in transit to the object store')
  }
  await file.sync()
}

interface Publication extends Place {
  readonly overwrite: boolean
}

/** Gives a finished file its name, for good even if the power fails. `link` refuses a taken name, `rename` replaces it. */
async function publish(aside: string, { path, root, overwrite }: Publication): Promise<'created' | 'exists'> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await mkdir(dirname(path), { recursive: true, mode: DIRECTORY_MODE })
      if (overwrite) await rename(aside, path)
      else await link(aside, path)
      await syncDirectories(dirname(path), root)
      return 'created'
    } catch (error) {
      if (systemErrorCode(error) === 'EEXIST' && !overwrite) {
        // Whoever made it may not have synced yet, and our caller will promise it too.
        await syncDirectories(dirname(path), root)
        return 'exists'
      }
      if (systemErrorCode(error) !== 'ENOENT' || attempt === PUBLISH_ATTEMPTS) throw error
    }
  }
}

/** Makes the names durable, from the deepest folder up to `top`. A folder that is gone has no name in it to keep. */
async function syncDirectories(deepest: string, top: string): Promise<void> {
  for (let path = deepest; ; path = dirname(path)) {
    const handle = await open(path, 'r').catch(ignoring('ENOENT'))
    try {
      await handle?.sync()
    } finally {
      await handle?.close()
    }
    if (path === top) return
  }
}

async function removeEmptyDirectories(deepest: string, root: string): Promise<void> {
  for (let path = deepest; path !== root; path = dirname(path)) {
    try {
      await rmdir(path)
    } catch (error) {
      // In use again, or removed by somebody else: either way not ours any more.
      if (['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(systemErrorCode(error))) return
      throw error
    }
  }
}

/** Runs `read`; a missing file is `undefined`, unless `tmp`, which is always there, is missing as well. */
async function orAbsent<T>(tmp: string, read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read()
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error))) throw toUnavailable(error)
  }
  try {
    await access(tmp)
    return undefined
  } catch (error) {
    throw toUnavailable(error)
  }
}
