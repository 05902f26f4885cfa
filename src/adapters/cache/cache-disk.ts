import { randomUUID } from 'node:crypto'
import { mkdir, rename, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CACHE_FOLDERS } from '../../domain/stored/cache-layout.ts'
import { isDiskTrouble, isMissing } from '../files/disk-trouble.ts'
import { ATTEMPTS, FOLDER_MODE, type NewFile } from './disk-file.ts'
import { createDiskWriter } from './disk-writer.ts'

export interface CacheDiskOptions {
  readonly cacheDir: string
  /** Called for every access that the disk refused. */
  readonly onTrouble: (error: unknown) => void
  /** Called with the size of every file that was written. */
  readonly onWrite: (bytes: number) => void
}

/** The disk of the cache: a file that is missing, and a disk that fails, both mean that there is no such file. */
export interface CacheDisk {
  /** @returns undefined if the file is missing, or the disk fails; `onTrouble` is called with the latter. */
  unlessAbsent<T>(access: () => Promise<T>): Promise<T | undefined>
  /** The same for an access that only succeeds or not. */
  succeeds(access: () => Promise<unknown>): Promise<boolean>
  /** A new name in the folder for temporary files. */
  aside(kind: string): string
  /** Makes a complete file visible. @returns its path. */
  write(file: Omit<NewFile, 'temporary'>): Promise<string>
  /** Moves a file that was written in the folder for temporary files to `target`, and returns that. */
  adopt(path: string, target: string): Promise<string>
  /** Hides a file or folder by one rename; the sweep deletes what is hidden. @returns false if the disk refuses. */
  hide(path: string): Promise<boolean>
}

export function createCacheDisk({ cacheDir, onTrouble, onWrite }: CacheDiskOptions): CacheDisk {
  const writer = createDiskWriter()
  const temporary = join(cacheDir, CACHE_FOLDERS.temporary)
  const aside = (kind: string) => join(temporary, `${kind}-${randomUUID()}`)

  async function unlessAbsent<T>(access: () => Promise<T>): Promise<T | undefined> {
    try {
      return await access()
    } catch (error) {
      if (!isMissing(error) && !isDiskTrouble(error)) throw error
      if (!isMissing(error)) onTrouble(error)
      return undefined
    }
  }

  /** Makes `folder` if it turns out to be missing: a sweep may have removed it. */
  async function inFolder<T>(folder: string, use: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await use()
      } catch (error) {
        if (!isMissing(error) || attempt === ATTEMPTS) throw error
      }
      await mkdir(folder, { recursive: true, mode: FOLDER_MODE })
    }
  }

  return {
    unlessAbsent,
    async succeeds(access) {
      return (await unlessAbsent(async () => ({ result: await access() }))) !== undefined
    },
    aside,
    async write(file) {
      await writer.write({ temporary, ...file })
      onWrite(file.bytes.length)
      return join(file.folder, file.name)
    },
    async adopt(path, target) {
      await inFolder(dirname(target), () => rename(path, target))
      onWrite((await stat(target)).size)
      return target
    },
    async hide(path) {
      try {
        await inFolder(temporary, () => rename(path, aside('gone')))
      } catch (error) {
        if (isMissing(error)) return true
        if (!isDiskTrouble(error)) throw error
        onTrouble(error)
        return false
      }
      return true
    },
  }
}
