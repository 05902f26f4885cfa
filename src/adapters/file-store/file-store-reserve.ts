import { randomBytes } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { ignoring, placeNewFile, systemErrorCode } from '../files/new-file.ts'
import { isFull, TMP } from './file-store-paths.ts'

/** Name of its folder below `tmp`. */
export const RESERVE = 'reserve'
/** Enough for several deletions at once: each needs up to six inodes and, with its folders, six blocks. */
const FILES = 16
const FILE_BYTES = 16 * 1024

/** Reserved space that is freed for a deletion on a full disk, so that the disk can be emptied. */
export interface FileStoreReserve {
  /** Completes the reserve. Cheap if it is complete. @throws The system error, mostly ENOSPC. */
  fill(): Promise<void>
  /** Completes the reserve if the disk has space and is writable. */
  refill(): Promise<void>
  /** Writes, and retries once without the reserve if the disk is full; the next `fill` or `refill` completes it again. */
  lend<T>(write: () => Promise<T>): Promise<T>
}

/** @param folder The store's folder. Processes that share it also share the reserve. */
export function createFileStoreReserve(folder: string): FileStoreReserve {
  const temporary = join(resolve(folder), TMP)
  const reserve = join(temporary, RESERVE)
  let last: Promise<unknown> = Promise.resolve()

  /** In sequence: space freed for a write must not be reserved again before the write is done. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = last.then(work)
    last = turn.catch(() => {})
    return turn
  }

  async function make(): Promise<void> {
    const names = new Set((await readdir(reserve).catch(ignoring('ENOENT'))) ?? [])
    if (names.size >= FILES) return
    for (let index = 0; index < FILES; index += 1) {
      if (names.has(String(index))) continue
      await placeNewFile({
        temporary,
        path: join(reserve, String(index)),
        overwrite: true,
        // Random, as some file systems compress.
        write: (file) => file.writeFile(randomBytes(FILE_BYTES)),
      })
    }
  }

  const fill = () => inTurn(make)

  return {
    fill,
    refill: () =>
      fill().catch((error: unknown) => {
        // On a disk that is not writable nothing can be deleted either.
        if (!isFull(error) && !['EROFS', 'EACCES', 'EPERM'].includes(systemErrorCode(error))) throw error
      }),
    async lend(write) {
      try {
        return await write()
      } catch (error) {
        if (!isFull(error)) throw error
      }
      return await inTurn(async () => {
        await rm(reserve, { recursive: true, force: true })
        return await write()
      })
    },
  }
}
