import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { ConfigError } from '../src/config/env.ts'
import { parseJson } from '../src/domain/text/json-text.ts'

/** The progress of an import, in a small file: the next run does not read imported files again. */
export interface ImportState {
  /** Path of the last file before which everything is done; undefined: none. */
  load(): Promise<string | undefined>
  save(after: string): Promise<void>
  /** Everything is done: the next run begins anew, and finds new files. */
  clear(): Promise<void>
}

/**
 * @param source What is imported; the state of another source is refused.
 * @param path Absent: nothing is remembered.
 */
export function createImportState(source: string, path: string | undefined): ImportState {
  return {
    async load() {
      if (path === undefined) return undefined
      const text = await readFile(path, 'utf8').catch((error: unknown) => {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
        throw error
      })
      if (text === undefined) return undefined
      const value = parseJson(text)
      const { source: known, after }: Record<string, unknown> =
        typeof value === 'object' && value !== null ? { ...value } : {}
      if (known === source && typeof after === 'string') return after
      throw new ConfigError(
        `--state: ${path} is not the state of an import of ${source}; delete it, or name another file`,
      )
    },
    async save(after) {
      if (path === undefined) return
      await writeFile(`${path}.new`, `${JSON.stringify({ source, after })}\n`)
      await rename(`${path}.new`, path)
    },
    async clear() {
      if (path !== undefined) await rm(path, { force: true })
    },
  }
}
