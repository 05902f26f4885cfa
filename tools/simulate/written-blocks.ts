import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '..', '..')

/** Writes a file of the repository. @param path From the root. */
export async function writeRepositoryFile(path: string, content: string): Promise<void> {
  await writeFile(join(ROOT, path), content)
}

/** Replaces a block of a page of the repository. @param path From the root. */
export async function writeBlock(path: string, name: string, lines: readonly string[]): Promise<void> {
  await writeRepositoryFile(path, replaceBlock(await readFile(join(ROOT, path), 'utf8'), name, lines))
}

/**
 * Replaces the lines between `<!-- simulate: name -->` and `<!-- end of name -->`.
 *
 * @throws Error if the text has no such block.
 */
export function replaceBlock(text: string, name: string, lines: readonly string[]): string {
  const [begin, end] = [`<!-- simulate: ${name} -->\n`, `<!-- end of ${name} -->`]
  const from = text.indexOf(begin)
  const to = text.indexOf(end)
  if (from < 0 || to < from) throw new Error(`There is no block "${name}": ${begin.trim()} and ${end} are missing`)
  return `${text.slice(0, from + begin.length)}\n${lines.join('\n')}\n\n${text.slice(to)}`
}
