import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { link, lstat, mkdir, open, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { isPipelineTime } from '../../domain/picture/pipeline-time.ts'
import {
  CACHE_FOLDERS,
  CACHE_MARKER,
  levelOfMezzanine,
  mezzanineFile,
  mezzanineFolder,
  noticeFile,
  originalFile,
  PICTURE_FOLDERS,
  renditionFolder,
} from '../../domain/stored/cache-layout.ts'
import type { ImageCache } from '../../service/ports/cache.ts'
import { isDiskTrouble, isMissing } from '../files/disk-trouble.ts'
import { makeFolder } from '../files/make-folder.ts'
import { ATTEMPTS, FILE_MODE, FOLDER_MODE, type NewFile } from './disk-file.ts'
import { createDiskWriter } from './disk-writer.ts'

export interface DiskCacheOptions {
  readonly cacheDir: string
  /** Every rendition gets this mtime, seconds since 1970, so that all nodes give the same validators. */
  readonly mtimeSeconds: number
  /** Told of every access that the disk refused. */
  readonly onTrouble: (error: unknown) => void
  /** Told of the bytes of every file that came in. */
  readonly onWrite: (bytes: number) => void
}

/** The cache on this node's disk: written aside in `tmp`, synced, renamed into place. */
export function createDiskCache({ cacheDir, mtimeSeconds, onTrouble, onWrite }: DiskCacheOptions): ImageCache {
  const writer = createDiskWriter()
  const temporary = join(cacheDir, CACHE_FOLDERS.temporary)
  const folderOf = (id: string) => join(cacheDir, CACHE_FOLDERS.renditions, renditionFolder(id))
  const pathOf = (id: string, file: string) => join(folderOf(id), file)
  const mezzaninesOf = (id: string) => join(cacheDir, CACHE_FOLDERS.mezzanines, mezzanineFolder(id))
  const noticePath = (resource: string) => join(cacheDir, CACHE_FOLDERS.originals, noticeFile(resource))
  const originalPath = (id: string) => join(cacheDir, CACHE_FOLDERS.originals, originalFile(id))

  /** What is missing or cannot be reached counts as absent; the operator hears of the latter. */
  async function unlessAbsent<T>(access: () => Promise<T>): Promise<T | undefined> {
    try {
      return await access()
    } catch (error) {
      if (!isMissing(error) && !isDiskTrouble(error)) throw error
      if (!isMissing(error)) onTrouble(error)
      return undefined
    }
  }

  /** As for a new file: a folder that is missing is made, and a sweep can be faster. */
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

  async function write(file: Omit<NewFile, 'temporary'>): Promise<string> {
    await writer.write({ temporary, ...file })
    onWrite(file.bytes.length)
    return join(file.folder, file.name)
  }

  /** Out of everybody's sight by one rename each; the sweep removes what is hidden. @returns false if the disk refuses. */
  async function hideTree(path: string): Promise<boolean> {
    try {
      await inFolder(temporary, () => rename(path, join(temporary, `gone-${randomUUID()}`)))
    } catch (error) {
      if (isMissing(error)) return true
      if (!isDiskTrouble(error)) throw error
      onTrouble(error)
      return false
    }
    return true
  }

  return {
    mtimeSeconds,
    async find(id, files) {
      for (const file of files) {
        const found = await unlessAbsent(() => stat(pathOf(id, file)))
        // An empty file was never published by us: a crash of the machine can leave one on some file systems. Nor was one that
        // says when it was written: somebody has cut it, or restored it from somewhere.
        const writtenSeconds = Math.floor((found?.mtimeMs ?? 0) / 1000)
        if (found?.isFile() && found.size > 0 && isPipelineTime(writtenSeconds)) {
          return { file, sizeBytes: found.size, mtimeSeconds: writtenSeconds }
        }
      }
      return undefined
    },
    read: (id, file) => unlessAbsent(() => readFile(pathOf(id, file))),
    async open(id, file, range) {
      const handle = await unlessAbsent(() => open(pathOf(id, file), constants.O_RDONLY))
      return handle?.createReadStream(range)
    },
    async publish(id, name, bytes, mtime = mtimeSeconds) {
      // Unsynced, a power cut can leave an empty file under a final name, and nginx would send that for a year.
      const file = { folder: folderOf(id), name, bytes, mtimeSeconds: mtime, durable: true }
      return (await unlessAbsent(() => write(file))) !== undefined
    },
    async link(id, file, alias) {
      const linked = await unlessAbsent(async () => {
        await replace(pathOf(id, file), pathOf(id, alias))
        return true
      })
      return linked ?? false
    },
    async touch(id, known) {
      const touched = await unlessAbsent(async () => {
        await utimes(pathOf(id, known.file), Date.now() / 1000, known.mtimeSeconds)
        return true
      })
      return touched ?? false
    },
    async findOriginal(id) {
      const path = originalPath(id)
      const found = await unlessAbsent(() => stat(path))
      return found?.isFile() && found.size > 0 ? path : undefined
    },
    async openOriginal(id, sizeBytes, range) {
      const handle = await unlessAbsent(() => open(originalPath(id), constants.O_RDONLY))
      if (handle === undefined || (await handle.stat()).size === sizeBytes) return handle?.createReadStream(range)
      await handle.close()
      return undefined
    },
    async adoptOriginal(id, path) {
      const target = originalPath(id)
      return await unlessAbsent(async () => {
        await inFolder(dirname(target), () => rename(path, target))
        onWrite((await stat(target)).size)
        return target
      })
    },
    async readMezzanines(id) {
      const folder = mezzaninesOf(id)
      const names = (await unlessAbsent(() => readdir(folder))) ?? []
      const kept = names.map(async (name) => {
        const level = levelOfMezzanine(name)
        const path = join(folder, name)
        const bytes = level && (await unlessAbsent(() => readFile(path)))
        return level && bytes ? [{ level, path, bytes }] : []
      })
      return (await Promise.all(kept)).flat()
    },
    // Read back, it is checked: nobody has to wait for the disk.
    publishMezzanine: (id, level, bytes) =>
      unlessAbsent(() => write({ folder: mezzaninesOf(id), name: mezzanineFile(level), bytes, durable: false })),
    async hide(ids) {
      const left: string[] = []
      for (const id of ids) {
        const trees = [folderOf(id), mezzaninesOf(id), originalPath(id)]
        const hidden = await Promise.all(trees.map(hideTree))
        if (!hidden.every(Boolean)) left.push(id)
      }
      return left
    },
    async hideAll() {
      const hidden = await Promise.all(PICTURE_FOLDERS.map((folder) => hideTree(join(cacheDir, folder))))
      return hidden.every(Boolean)
    },
    readNotice: (resource) => unlessAbsent(() => readFile(noticePath(resource), 'utf8')),
    async writeNotice(resource, text) {
      const [folder, name] = [dirname(noticePath(resource)), basename(noticePath(resource))]
      await unlessAbsent(() => write({ folder, name, bytes: Buffer.from(text), durable: false }))
    },
    readNote: (name) => unlessAbsent(() => readFile(join(cacheDir, name), 'utf8')),
    async writeNote(name, text) {
      const file = { temporary, folder: cacheDir, name, bytes: Buffer.from(text), durable: true }
      await unlessAbsent(() => writer.write(file))
    },
  }

  async function replace(path: string, alias: string): Promise<void> {
    try {
      await link(path, alias)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
      // Another flight was faster, or an older pipeline left its own: the newest wins, by rename.
      const aside = join(temporary, `link-${randomUUID()}`)
      await link(path, aside)
      await rename(aside, alias)
      // A rename onto the same inode does nothing and leaves the old name.
      await rm(aside, { force: true })
    }
  }
}

/** What is to be the cache holds something else, which a sweep could take for its own. */
export class NotACacheError extends Error {}

/**
 * Makes the folders and the marker without which no sweep touches the folder.
 * @throws NotACacheError if there is no marker yet, and something that is not ours.
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

/** A marker can be lost with everything else; what was published since, and our own notes, are no reason to refuse. */
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
