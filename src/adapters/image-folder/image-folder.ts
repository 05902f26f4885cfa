import { createReadStream } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { completeChunks } from '../../domain/picture/container-end.ts'
import { DamagedFileError } from '../../errors.ts'
import type { ImportFile, ImportSource, UnreadablePlace } from '../../service/ports/originals.ts'

const READ_BYTES = 256 * 1024

/**
 * The files below a folder, by name. Hidden ones and symbolic links are left out. Their paths are relative to the folder.
 * @param root Only read.
 */
export function createImageFolder(root: string): ImportSource {
  return {
    files: (after) => filesBelow(root, '', after === undefined ? [] : after.split('/')),
    open: ({ path }) => Readable.from(completeChunks(readableChunks(join(root, path))), { objectMode: false }),
  }
}

/** @param after Segments of the last path that is left out, below this folder; empty: none. */
async function* filesBelow(
  root: string,
  folder: string,
  after: readonly string[],
): AsyncIterable<ImportFile | UnreadablePlace> {
  const [first, ...rest] = after
  try {
    const names = (await readdir(join(root, folder))).filter((name) => !name.startsWith('.'))
    for (const name of names.toSorted(byBytes)) {
      if (first !== undefined && byBytes(name, first) < 0) continue
      const isLast = name === first
      const path = folder === '' ? name : `${folder}/${name}`
      const stats = await lstat(join(root, path))
      if (stats.isDirectory()) yield* filesBelow(root, path, isLast ? rest : [])
      else if (stats.isFile() && !isLast) yield { path, sizeBytes: stats.size }
    }
  } catch (error) {
    yield { path: folder === '' ? '.' : folder, problem: `cannot be read (${reasonOf(error)})` }
  }
}

async function* readableChunks(path: string): AsyncIterable<Buffer> {
  const chunks: AsyncIterable<Buffer> = createReadStream(path, { highWaterMark: READ_BYTES })
  try {
    yield* chunks
  } catch (cause) {
    throw new DamagedFileError(`cannot be read (${reasonOf(cause)})`, { cause })
  }
}

/** An order that does not depend on the language of the machine. */
function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

function reasonOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}
