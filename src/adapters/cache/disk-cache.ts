import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { link, open, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { isPipelineTime } from '../../domain/picture/encoding.ts'
import {
  CACHE_FOLDERS,
  levelOfMezzanine,
  mezzanineFile,
  mezzanineFolder,
  noticeFile,
  originalFile,
  PICTURE_FOLDERS,
  renditionFolder,
} from '../../domain/stored/cache-layout.ts'
import type { ImageCache } from '../../service/ports/cache.ts'
import { inFolder, isDiskTrouble, isMissing, type NewFile, systemErrorCode } from '../files/new-file.ts'
import { createDiskWriter } from './disk-writer.ts'
import { createGroupWriter, type UnsyncedFile } from './group-writer.ts'
import { syncFileSystem } from './sync-file-system.ts'

export interface DiskCacheOptions extends CacheDiskOptions {
  /** Every rendition gets this mtime, seconds since 1970, so that all nodes send the same validators. */
  readonly mtimeSeconds: number
}

/** The cache on this node's disk: files are written to `tmp`, synced, and renamed into place, renditions perhaps in groups. */
export function createDiskCache(options: DiskCacheOptions): ImageCache {
  const { cacheDir, mtimeSeconds } = options
  const disk = createCacheDisk(options)
  const folders = foldersIn(cacheDir)
  return {
    mtimeSeconds,
    get isBusy() {
      return disk.isBusy
    },
    flush: disk.flush,
    ...renditionsOn(disk, folders, mtimeSeconds),
    ...originalsOn(disk, folders),
    ...mezzaninesOn(disk, folders),
    ...notesOn(disk, cacheDir),
    async hide(ids) {
      const left: string[] = []
      for (const id of ids) {
        const trees = [folders.renditions(id), folders.mezzanines(id), folders.original(id)]
        const hidden = await Promise.all(trees.map(disk.hide))
        if (!hidden.every(Boolean)) left.push(id)
      }
      return left
    },
    async hideAll() {
      const hidden = await Promise.all(PICTURE_FOLDERS.map((folder) => disk.hide(join(cacheDir, folder))))
      return hidden.every(Boolean)
    },
  }
}

/** Paths of the files of an image. */
interface ImageFolders {
  renditions(id: string): string
  mezzanines(id: string): string
  original(id: string): string
}

function foldersIn(cacheDir: string): ImageFolders {
  return {
    renditions: (id) => join(cacheDir, CACHE_FOLDERS.renditions, renditionFolder(id)),
    mezzanines: (id) => join(cacheDir, CACHE_FOLDERS.mezzanines, mezzanineFolder(id)),
    original: (id) => join(cacheDir, CACHE_FOLDERS.originals, originalFile(id)),
  }
}

type Renditions = Pick<ImageCache, 'find' | 'has' | 'read' | 'open' | 'publish' | 'link' | 'touch'>

function renditionsOn(disk: CacheDisk, folders: ImageFolders, mtimeSeconds: number): Renditions {
  const pathOf = (id: string, file: string) => join(folders.renditions(id), file)
  return {
    async find(id, files) {
      for (const file of files) {
        const found = await disk.unlessAbsent(() => stat(pathOf(id, file)))
        // Empty files were not published: a crash of the machine can leave them on some file systems. Nor were files
        // with the time of their writing: another program has truncated or restored them.
        const writtenSeconds = Math.floor((found?.mtimeMs ?? 0) / 1000)
        if (found?.isFile() && found.size > 0 && isPipelineTime(writtenSeconds)) {
          return { file, sizeBytes: found.size, mtimeSeconds: writtenSeconds }
        }
      }
      return undefined
    },
    async has(id) {
      for (const path of [folders.renditions(id), folders.original(id), folders.mezzanines(id)]) {
        if ((await disk.unlessAbsent(() => stat(path))) !== undefined) return true
      }
      return false
    },
    read: (id, file) => disk.unlessAbsent(() => readFile(pathOf(id, file))),
    async open(id, file, range) {
      const handle = await disk.unlessAbsent(() => open(pathOf(id, file), constants.O_RDONLY))
      return handle?.createReadStream(range)
    },
    publish(id, name, bytes, mtime = mtimeSeconds) {
      // Without a sync, a power failure can leave an empty file under the final name, and nginx would send it for a
      // year.
      const file = { folder: folders.renditions(id), name, bytes, mtimeSeconds: mtime }
      return disk.succeeds(() => disk.publish(file))
    },
    link: (id, file, alias) => disk.succeeds(() => replace(disk, pathOf(id, file), pathOf(id, alias))),
    touch: (id, { file, mtimeSeconds: mtime }) =>
      disk.succeeds(() => utimes(pathOf(id, file), Date.now() / 1000, mtime)),
  }
}

async function replace(disk: CacheDisk, path: string, alias: string): Promise<void> {
  try {
    await link(path, alias)
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error
    // From another request or an older pipeline: the newest replaces it, by rename.
    const aside = disk.aside('link')
    await link(path, aside)
    await rename(aside, alias)
    // A rename onto the same inode has no effect and keeps the old name.
    await rm(aside, { force: true })
  }
}

type Originals = Pick<ImageCache, 'findOriginal' | 'openOriginal' | 'adoptOriginal'>

function originalsOn(disk: CacheDisk, folders: ImageFolders): Originals {
  return {
    async findOriginal(id) {
      const path = folders.original(id)
      const found = await disk.unlessAbsent(() => stat(path))
      return found?.isFile() && found.size > 0 ? path : undefined
    },
    async openOriginal(id, sizeBytes, range) {
      const handle = await disk.unlessAbsent(() => open(folders.original(id), constants.O_RDONLY))
      if (handle === undefined || (await handle.stat()).size === sizeBytes) return handle?.createReadStream(range)
      await handle.close()
      return undefined
    },
    adoptOriginal: (id, path) => disk.unlessAbsent(() => disk.adopt(path, folders.original(id))),
  }
}

type Mezzanines = Pick<ImageCache, 'readMezzanines' | 'publishMezzanine'>

function mezzaninesOn(disk: CacheDisk, folders: ImageFolders): Mezzanines {
  return {
    async readMezzanines(id) {
      const folder = folders.mezzanines(id)
      const names = (await disk.unlessAbsent(() => readdir(folder))) ?? []
      const kept = names.map(async (name) => {
        const level = levelOfMezzanine(name)
        const path = join(folder, name)
        const bytes = level && (await disk.unlessAbsent(() => readFile(path)))
        return level && bytes ? [{ level, path, bytes }] : []
      })
      return (await Promise.all(kept)).flat()
    },
    // Not synced: it is verified when it is read.
    publishMezzanine: (id, level, bytes) =>
      disk.unlessAbsent(() =>
        disk.write({ folder: folders.mezzanines(id), name: mezzanineFile(level), bytes, durable: false }),
      ),
  }
}

type Notes = Pick<ImageCache, 'readNotice' | 'writeNotice' | 'readNote' | 'writeNote'>

function notesOn(disk: CacheDisk, cacheDir: string): Notes {
  const noticePath = (resource: string) => join(cacheDir, CACHE_FOLDERS.originals, noticeFile(resource))
  const read = (path: string) => disk.unlessAbsent(() => readFile(path, 'utf8'))
  const write = async (path: string, text: string, durable: boolean) => {
    const file = { folder: dirname(path), name: basename(path), bytes: Buffer.from(text), durable }
    await disk.unlessAbsent(() => disk.write(file))
  }
  return {
    readNotice: (resource) => read(noticePath(resource)),
    writeNotice: (resource, text) => write(noticePath(resource), text, false),
    readNote: (name) => read(join(cacheDir, name)),
    writeNote: (name, text) => write(join(cacheDir, name), text, true),
  }
}

export interface CacheDiskOptions {
  readonly cacheDir: string
  /** Called for every access that the disk refuses. */
  readonly onTrouble: (error: unknown) => void
  /** Called with the size of every written file. */
  readonly onWrite: (bytes: number) => void
}

/** The disk of the cache: a failing disk is treated like a missing file. */
export interface CacheDisk {
  /** @returns undefined if the file is missing, or the disk fails; `onTrouble` is called with the latter. */
  unlessAbsent<T>(access: () => Promise<T>): Promise<T | undefined>
  /** The same for an access without a result. */
  succeeds(access: () => Promise<unknown>): Promise<boolean>
  /** A new name in the folder for temporary files. */
  aside(kind: string): string
  /** Publishes a complete file. @returns its path. */
  write(file: Omit<NewFile, 'temporary'>): Promise<string>
  /** Publishes a complete file after its content is on the disk, perhaps together with others. */
  publish(file: Omit<UnsyncedFile, 'temporary'>): Promise<void>
  /** Whether `publish` waits for others. */
  readonly isBusy: boolean
  /** Ends that wait. */
  flush(): Promise<void>
  /** Moves a file from the folder for temporary files to `target`. @returns `target` */
  adopt(path: string, target: string): Promise<string>
  /** Hides a file or folder by one rename; the sweep deletes it. @returns false if the disk refuses. */
  hide(path: string): Promise<boolean>
}

function createCacheDisk({ cacheDir, onTrouble, onWrite }: CacheDiskOptions): CacheDisk {
  const writer = createDiskWriter({ codeFolder: join(cacheDir, CACHE_FOLDERS.code) })
  const temporary = join(cacheDir, CACHE_FOLDERS.temporary)
  const groups = createGroupWriter({
    writer,
    sync: () => syncFileSystem(cacheDir),
    now: () => performance.now(),
  })
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
    async publish(file) {
      await groups.publish({ temporary, ...file })
      onWrite(file.bytes.length)
    },
    get isBusy() {
      return groups.isBusy
    },
    flush: groups.flush,
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
