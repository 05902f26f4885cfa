import { createHash } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { access, constants, type FileHandle, open, readdir, rm, rmdir, stat, unlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { UnavailableError } from '../../errors.ts'
import type { ObjectSource, ObjectStat, ObjectStore, OpenObject, PutOptions } from '../../service/ports/store.ts'
import { objectBody } from '../calls/timed-body.ts'
import { FOLDER_MODE, ignoring, makeFolder, placeLink, placeNewFile, systemErrorCode } from '../files/new-file.ts'
import { keyPath, TMP, toUnavailable, walkKeys } from './file-store-paths.ts'
import { type FileStoreReserve, RESERVE } from './file-store-reserve.ts'
import { createFolderSync, type SyncFolders } from './folder-sync.ts'

/** Node's default of 64 KB costs more time than it saves memory: each read wakes another thread. */
const READ_BYTES = 256 * 1024
/** For the same reason: an original of 2.3 MB is copied with three reads and writes instead of 36. */
const COPY_BYTES = 1024 * 1024
/** Up to this size an object is read at once: two streams around one read take longer than it. */
const SMALL_BYTES = 512 * 1024
/** Longer than any put: another process may still be writing a younger file. */
const ORPHAN_AGE_MS = 3_600_000

export interface FileStoreOptions {
  /** Absent: a full disk also prevents deletions, which write a file. */
  readonly reserve?: FileStoreReserve
  /** `check` accepts a folder that is only readable. */
  readonly readOnly?: boolean
}

/**
 * Makes the folder of a store if it is missing. Unlike `createFileStore` it does not block the process on a hung mount.
 * @throws The system error, such as EROFS.
 */
export async function prepareFileStore(folder: string): Promise<void> {
  await makeFolder(join(resolve(folder), TMP), FOLDER_MODE)
}

/**
 * Objects as files under `folder`, for one machine; several processes may share it. There is no timeout for the disk: a call
 * on a hung mount hangs.
 *
 * @param folder Made if missing. If it disappears later (unmounted), that is an outage, not an empty store.
 */
export function createFileStore(folder: string, { reserve, readOnly = false }: FileStoreOptions = {}): ObjectStore {
  // Absolute, as the way from a key's folder up to the root compares paths.
  const root = resolve(folder)
  const tmp = join(root, TMP)
  const syncFolders = createFolderSync()
  const neededAccess = constants.R_OK | constants.X_OK | (readOnly ? 0 : constants.W_OK)
  mkdirSync(tmp, { recursive: true, mode: FOLDER_MODE })

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
        if (sizeBytes <= SMALL_BYTES) return await openSmall(handle, sizeBytes, signal)
        const body = handle.createReadStream({ highWaterMark: Math.max(1, Math.min(sizeBytes, READ_BYTES)) })
        return { sizeBytes, body: objectBody(body, { sizeBytes, signal }) }
      })
    },

    stat: statKey,

    async put(key, source, options, signal) {
      const path = keyPath(root, key)
      const write = () => putFile({ path, root, syncFolders }, source, options, signal)
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
        await removeFile({ path, root, syncFolders })
        await reserve?.refill()
      })
    },

    list,

    async *listObjects(prefix, after, signal) {
      for await (const key of list(prefix, after, signal)) {
        const found = await statKey(key, signal)
        // It was removed during the walk.
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

    // `check` has failed already if the folder is not writable.
    async mayWrite(signal) {
      signal.throwIfAborted()
      return true
    },

    checksMd5: false,
    close() {},
  }
}

/** Deletes temporary files of killed processes. To be called at start; safe while other processes write. */
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
  readonly syncFolders: SyncFolders
}

async function putFile(
  { path, root, syncFolders }: Place,
  source: ObjectSource,
  { overwrite = false, rebuildable = false, mayLink = false, ...expected }: PutOptions,
  signal: AbortSignal,
): Promise<'created' | 'exists'> {
  const placement = { temporary: join(root, TMP), path, overwrite, durable: !rebuildable }
  const linked = mayLink && 'path' in source ? await placeLink(source.path, placement) : undefined
  const write = (file: FileHandle) => writeObject(file, source, expected, signal)
  const outcome = linked ?? (await placeNewFile({ ...placement, write }))
  if (rebuildable) return outcome
  // Also for a file that exists: the process that made it may not have synced yet.
  await syncFolders(dirname(path), root)
  return outcome
}

async function writeObject(
  file: FileHandle,
  source: ObjectSource,
  { md5, sha256, sizeBytes }: Pick<PutOptions, 'md5' | 'sha256' | 'sizeBytes'>,
  signal: AbortSignal,
): Promise<void> {
  const [name, expected] = sha256 === undefined ? (['md5', md5] as const) : (['sha256', sha256] as const)
  const hash = expected === undefined ? undefined : createHash(name)
  let writtenBytes = 0
  for await (const chunk of 'bytes' in source ? [source.bytes] : readInParts(source.path, sizeBytes)) {
    signal.throwIfAborted()
    hash?.update(chunk)
    writtenBytes += chunk.length
    await file.writeFile(chunk)
  }
  if (writtenBytes !== sizeBytes || hash?.digest('hex') !== expected) {
    throw new UnavailableError('store_unavailable', 'The object was damaged in transit to the object store')
  }
}

/**
 * Each part is valid until the next one. All are in the same memory, which is freed at the end: with new memory for each part
 * V8 collected all garbage after every fifth upload.
 */
async function* readInParts(path: string, sizeBytes: number): AsyncGenerator<Buffer, void> {
  const memory = new ArrayBuffer(Math.max(1, Math.min(sizeBytes, COPY_BYTES)))
  const part = Buffer.from(memory)
  try {
    await using file = await open(path, 'r')
    for (;;) {
      const { bytesRead } = await file.read(part, 0, part.length, null)
      if (bytesRead === 0) return
      yield part.subarray(0, bytesRead)
    }
  } finally {
    memory.transfer(0)
  }
}

async function removeFile({ path, root, syncFolders }: Place): Promise<void> {
  await unlink(path)
  await syncFolders(dirname(path), dirname(path))
  await removeEmptyDirectories(dirname(path), root)
}

async function removeEmptyDirectories(deepest: string, root: string): Promise<void> {
  for (let path = deepest; path !== root; path = dirname(path)) {
    try {
      await rmdir(path)
    } catch (error) {
      // In use again, or removed by another call.
      if (['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(systemErrorCode(error))) return
      throw error
    }
  }
}

/** Closes `handle`. */
async function openSmall(handle: FileHandle, sizeBytes: number, signal: AbortSignal): Promise<OpenObject> {
  const bytes = await readAndClose(handle, sizeBytes)
  let body: Readable | undefined
  return {
    sizeBytes,
    // A file that has become shorter fails as a stream does.
    ...(bytes.length === sizeBytes && { bytes }),
    get body() {
      body ??= objectBody(Readable.from([bytes], { objectMode: false }), { sizeBytes, signal })
      return body
    },
  }
}

async function readAndClose(handle: FileHandle, sizeBytes: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(sizeBytes)
  try {
    for (let read = 0; read < sizeBytes; ) {
      const { bytesRead } = await handle.read(bytes, read, sizeBytes - read, read)
      if (bytesRead === 0) return bytes.subarray(0, read)
      read += bytesRead
    }
    return bytes
  } finally {
    await handle.close()
  }
}

/** Runs `read`; a missing file is `undefined`, unless `tmp`, which always exists, is missing as well. */
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
