import { randomBytes, randomUUID } from 'node:crypto'
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { ignoring, isFull, systemErrorCode, TMP } from './file-store-paths.ts'

/** The folder below `tmp`. */
export const RESERVE = 'reserve'
/** A deletion needs up to six inodes and, with its folders, six blocks; here is room for some at once. */
const FILES = 16
const FILE_BYTES = 16 * 1024
const DIRECTORY_MODE = 0o750
const FILE_MODE = 0o640

/** Space that is given up for a deletion on a full disk, so that the disk can be emptied. */
export interface FileStoreReserve {
  /** Makes it whole. Cheap if it is. @throws what the system says, ENOSPC above all. */
  fill(): Promise<void>
  /** Makes it whole if the disk has room for it and can be written. */
  refill(): Promise<void>
  /** Writes, and once more without the reserve if the disk is full; it is whole again after the next `fill` or `refill`. */
  lend<T>(write: () => Promise<T>): Promise<T>
}

/** @param folder Of the store. Other processes may share it, and then share the reserve. */
export function createFileStoreReserve(folder: string): FileStoreReserve {
  const temporary = join(resolve(folder), TMP)
  const reserve = join(temporary, RESERVE)
  let last: Promise<unknown> = Promise.resolve()

  /** One after the other: what is given up for one write must not be taken back before it is done. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = last.then(work)
    last = turn.catch(() => {})
    return turn
  }

  async function make(): Promise<void> {
    const names = new Set((await readdir(reserve).catch(ignoring('ENOENT'))) ?? [])
    if (names.size >= FILES) return
    await mkdir(reserve, { mode: DIRECTORY_MODE }).catch(ignoring('EEXIST'))
    for (let index = 0; index < FILES; index += 1) {
      if (!names.has(String(index))) await makeFile(join(temporary, randomUUID()), join(reserve, String(index)))
    }
  }

  const fill = () => inTurn(make)

  return {
    fill,
    refill: () =>
      fill().catch((error: unknown) => {
        // Where nothing can be written, nothing can be deleted either.
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

/** Of bytes that no file system packs into less. It has its name when all of it is on the disk. */
async function makeFile(aside: string, path: string): Promise<void> {
  try {
    await using file = await open(aside, 'wx', FILE_MODE)
    await file.writeFile(randomBytes(FILE_BYTES))
    await file.sync()
    await rename(aside, path)
  } finally {
    await rm(aside, { force: true })
  }
}
