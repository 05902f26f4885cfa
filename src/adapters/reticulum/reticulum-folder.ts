import { createHash } from 'node:crypto'
import { createReadStream, type Dirent } from 'node:fs'
import { opendir, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { DamagedFileError } from '../../errors.ts'
import type { ImportFile, ImportSource, UnreadablePlace } from '../../service/ports/originals.ts'

const SHA1_DIGITS = 40
const READ_BYTES = 256 * 1024

/**
 * The upload directory of a Reticulum node: `aa/bb/…` (20 folders, two hex digits of the SHA-1 each) `/full.<ext>`. The
 * sizes beside the originals are ignored. Symbolic links are followed, as some spread the folders over several disks.
 *
 * @param root Only read.
 */
export function createReticulumFolder(root: string): ImportSource {
  return {
    async *files() {
      // Depth first: at most 256 names in memory for each of the 20 levels.
      const folders: Folder[] = [{ path: root, digits: '' }]
      for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
        const { files, below, problems } = await look(folder)
        yield* problems
        yield* files
        folders.push(...below.toSorted((a, b) => (a.digits < b.digits ? 1 : -1)))
      }
    },
    open: (file) => Readable.from(checkedChunks(file), { objectMode: false }),
  }
}

interface Folder {
  readonly path: string
  /** Digits of the SHA-1 so far. */
  readonly digits: string
}

interface Content {
  readonly files: ImportFile[]
  readonly below: Folder[]
  readonly problems: UnreadablePlace[]
}

async function look({ path: folder, digits }: Folder): Promise<Content> {
  const content: Content = { files: [], below: [], problems: [] }
  const isDeepest = digits.length === SHA1_DIGITS
  const unreadable = (path: string) => (error: unknown) => {
    content.problems.push({ path, problem: `cannot be read (${reasonOf(error)})` })
    return undefined
  }
  const lookAt = async (entry: Dirent) => {
    const path = join(folder, entry.name)
    const found = entry.isSymbolicLink() ? await stat(path).catch(unreadable(path)) : entry
    if (isDeepest && found?.isFile()) content.files.push({ path, sha1: digits })
    if (!isDeepest && found?.isDirectory()) content.below.push({ path, digits: `${digits}${entry.name}` })
  }
  try {
    // Most folders contain one more, and are read at once; beside an original there may be any number of sizes.
    const entries = isDeepest ? await opendir(folder) : await readdir(folder, { withFileTypes: true })
    const isWanted = isDeepest ? isOriginal : isPair
    for await (const entry of entries) if (isWanted(entry)) await lookAt(entry)
  } catch (error) {
    unreadable(folder)(error)
  }
  return content
}

function isOriginal({ name }: Dirent): boolean {
  return /^full\.[a-z0-9]+$/i.test(name)
}

function isPair({ name }: Dirent): boolean {
  return /^[0-9a-f]{2}$/.test(name)
}

async function* checkedChunks({ path, sha1 = '' }: ImportFile): AsyncIterable<Buffer> {
  const hash = createHash('sha1')
  for await (const chunk of readableChunks(path)) {
    hash.update(chunk)
    yield chunk
  }
  const actual = hash.digest('hex')
  if (actual !== sha1) throw new DamagedFileError(`damaged: its bytes have the SHA-1 ${actual}`)
}

async function* readableChunks(path: string): AsyncIterable<Buffer> {
  const chunks: AsyncIterable<Buffer> = createReadStream(path, { highWaterMark: READ_BYTES })
  try {
    yield* chunks
  } catch (cause) {
    throw new DamagedFileError(`cannot be read (${reasonOf(cause)})`, { cause })
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}
