import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export function sha1Of(bytes: Buffer): string {
  return createHash('sha1').update(bytes).digest('hex')
}

/** Where a Reticulum node keeps what belongs to an image. */
export function reticulumPath(root: string, sha1: string): string {
  return join(root, ...(sha1.match(/../g) ?? []))
}

/**
 * Writes an original as a Reticulum node does, with two sizes of it beside it.
 * @param sha1 Under which; by default its own.
 * @returns the path of the file.
 */
export async function plantOriginal(
  root: string,
  bytes: Buffer,
  extension: string,
  sha1 = sha1Of(bytes),
): Promise<string> {
  const folder = reticulumPath(root, sha1)
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, `100w.${extension}`), 'a size')
  await writeFile(join(folder, `200h.${extension}`), bytes)
  const path = join(folder, `full.${extension}`)
  await writeFile(path, bytes)
  return path
}
