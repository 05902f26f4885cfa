import { randomBytes } from 'node:crypto'
import { type BigIntStats, constants } from 'node:fs'
import { type FileHandle, link, lstat, open, opendir, rename, unlink } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { readSpoolName, TAKEN_PREFIX } from '../../domain/intake/spool-name.ts'
import { DamagedFileError } from '../../errors.ts'
import type { SpoolFile, SpoolFolder } from '../../service/ports/intake.ts'
import { ignoring, isMissing, systemErrorCode } from '../files/new-file.ts'
import { createFolderWatch } from './folder-watch.ts'

/** A file by its bytes: an FTP client may send a name that is not UTF-8. */
export interface LocalFile extends SpoolFile {
  readonly local: Buffer
}

export interface SpoolFolderOptions {
  readonly root: string
  /** Age of an unfinished upload that is deleted; more than the server's timeout of a stalled transfer. */
  readonly staleMs: number
  readonly onTrouble: (path: string, error: unknown) => void
  readonly now: () => number
}

/** Deeper folders are left alone. */
const MOST_DEPTH = 16
/** The removal of a file takes milliseconds; after this time its process has died. */
const TAKEN_MS = 60_000
const READ_BYTES = 256 * 1024
const SLASH = Buffer.from('/')
const ignoreMissing = ignoring('ENOENT')

/** Files that other programs put into a folder, such as an FTP server. Links are not followed. */
export function createSpoolFolder(options: SpoolFolderOptions): SpoolFolder<LocalFile> {
  const { root, staleMs, onTrouble, now } = options
  const rootBytes = Buffer.from(root)
  const watch = createFolderWatch()

  async function* filesOf(folder: Folder, isDeep: boolean): AsyncIterable<LocalFile> {
    watch.include(folder.local)
    const below: Folder[] = []
    try {
      for await (const name of namesIn(folder.local)) {
        const child = { local: join(folder.local, name), path: pathOf(folder.path, name), depth: folder.depth + 1 }
        const kind = readSpoolName(name.toString())
        const stats = kind === 'hidden' ? undefined : await statsOf(child.local)
        if (stats?.isFile() && (await isToBeTaken(child.local, kind, stats))) yield fileOf(child, stats)
        else if (stats?.isDirectory() && isDeep && kind === 'file' && child.depth <= MOST_DEPTH) below.push(child)
      }
    } catch (error) {
      if (!isMissing(error)) onTrouble(folder.path, error)
    }
    for (const child of below) yield* filesOf(child, true)
  }

  async function isToBeTaken(local: Buffer, kind: ReturnType<typeof readSpoolName>, stats: BigIntStats) {
    if (kind === 'unfinished' && now() - Number(stats.mtimeMs) > staleMs) await unlink(local).catch(ignoreMissing)
    return kind === 'file' || (kind === 'taken' && now() - Number(stats.ctimeMs) > TAKEN_MS)
  }

  return {
    async sources() {
      const names: string[] = []
      for await (const name of namesIn(rootBytes)) {
        const isShown = readSpoolName(name.toString()) === 'file'
        if (isShown && (await statsOf(join(rootBytes, name)))?.isDirectory()) names.push(name.toString('latin1'))
      }
      return ['', ...names.toSorted()]
    },
    files(source) {
      if (source === '') return filesOf({ local: rootBytes, path: '', depth: 0 }, false)
      const name = Buffer.from(source, 'latin1')
      return filesOf({ local: join(rootBytes, name), path: name.toString(), depth: 1 }, true)
    },
    async open({ local, version, sizeBytes }) {
      try {
        const file = await open(local, constants.O_RDONLY | constants.O_NOFOLLOW)
        if (versionOf(await file.stat({ bigint: true })) === version) {
          return Readable.from(chunksOf(file, sizeBytes), { objectMode: false })
        }
        await file.close()
      } catch (error) {
        ignoreMissing(error)
      }
      return undefined
    },
    async remove(file) {
      const taken = await takeAway(file, nameAside(file))
      if (taken !== undefined) await unlink(taken).catch(ignoreMissing)
      return taken !== undefined
    },
    watch: (onChange) => watch.start(onChange),
  }
}

interface Folder {
  readonly local: Buffer
  readonly path: string
  readonly depth: number
}

/**
 * Renames a file, unless it has another version by now: a name may be written again at any moment.
 * @returns the new name; undefined if the file has another version, which keeps its name.
 */
export async function takeAway({ local, version }: LocalFile, target: Buffer): Promise<Buffer | undefined> {
  try {
    await rename(local, target)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
  if (versionOf(await lstat(target, { bigint: true })) === version) return target
  await putBack(target, local)
  return undefined
}

/** A name beside the file under which it is not uploaded, and from which a crash brings it back. */
export function nameAside({ local }: LocalFile): Buffer {
  return join(local.subarray(0, local.lastIndexOf(SLASH)), Buffer.from(`${TAKEN_PREFIX}${randomName()}`))
}

async function putBack(aside: Buffer, local: Buffer): Promise<void> {
  try {
    await link(aside, local)
    await unlink(aside)
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error
    // The name was written a third time: both are new files.
    await rename(aside, Buffer.concat([local, Buffer.from(`.${randomName()}`)]))
  }
}

async function* chunksOf(file: FileHandle, sizeBytes: number): AsyncIterable<Buffer> {
  try {
    // A file that grows meanwhile is not removed afterwards, and taken again.
    const range = { start: 0, end: sizeBytes - 1, highWaterMark: READ_BYTES, autoClose: false }
    const chunks: AsyncIterable<Buffer> = file.createReadStream(range)
    yield* chunks
  } catch (cause) {
    throw new DamagedFileError('The file cannot be read', { cause })
  } finally {
    await file.close()
  }
}

async function* namesIn(folder: Buffer): AsyncIterable<Buffer> {
  // In this encoding a byte is a character.
  for await (const { name } of await opendir(folder, { encoding: 'latin1' })) yield Buffer.from(name, 'latin1')
}

function statsOf(local: Buffer): Promise<BigIntStats | undefined> {
  return lstat(local, { bigint: true }).catch(ignoreMissing)
}

function fileOf({ local, path }: Folder, stats: BigIntStats): LocalFile {
  return {
    local,
    path,
    version: versionOf(stats),
    sizeBytes: Number(stats.size),
    modifiedMs: Number(stats.mtimeMs),
    arrivedMs: Number(stats.ctimeMs),
    // A write sets both times to the same value, and a rename one of them.
    isCommitted: stats.ctimeNs !== stats.mtimeNs,
  }
}

function versionOf({ dev, ino, size, mtimeNs }: BigIntStats): string {
  return `${dev}-${ino}-${size}-${mtimeNs}`
}

function join(folder: Buffer, name: Buffer): Buffer {
  return Buffer.concat([folder, SLASH, name])
}

function pathOf(folder: string, name: Buffer): string {
  return folder === '' ? name.toString() : `${folder}/${name.toString()}`
}

function randomName(): string {
  return randomBytes(8).toString('hex')
}
