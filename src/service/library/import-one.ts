import { fileName } from '../../domain/info/image-labels.ts'
import { tooManyBytes } from '../../domain/picture/original-facts.ts'
import type { ImageEngine } from '../ports/engine.ts'
import type { ImportFile, ImportSource } from '../ports/originals.ts'
import type { AliasService } from './alias-service.ts'
import type { IngestService } from './ingest-service.ts'

export interface ImportOneOptions {
  readonly source: ImportSource
  readonly ingest: IngestService
  readonly aliases: AliasService
  readonly engine: Pick<ImageEngine, 'inspect'>
  /** Of all new images. */
  readonly labels?: readonly string[]
  /** Checks, and writes nothing. */
  readonly dryRun: boolean
  /** Of an original. The ingest has the limit itself; this one is for `dryRun`. */
  readonly maxUploadBytes: number
}

export interface ImportedOne {
  readonly bytes: number
  /** False if it was imported or uploaded before. In a dry run, as far as its alias tells. */
  readonly isNew: boolean
}

/** Imports one original. @throws DamagedFileError, OriginalError, UnavailableError */
export function createImportOne(
  options: ImportOneOptions,
): (file: ImportFile, signal: AbortSignal) => Promise<ImportedOne> {
  const { source, ingest, aliases, labels = [], engine, dryRun, maxUploadBytes } = options

  /** The alias is written last: an original that has one is complete. */
  async function store(file: ImportFile, signal: AbortSignal): Promise<ImportedOne> {
    const { sha1, path } = file
    const details = sha1 === undefined ? { labels, name: fileName(path), source: 'import' } : { labels }
    const { record, created } = await ingest.ingest(source.open(file), details, signal)
    if (sha1 !== undefined) await aliases.add(sha1, record.id, signal)
    return { bytes: record.bytes, isNew: created || sha1 !== undefined }
  }

  async function check(file: ImportFile): Promise<ImportedOne> {
    const read: Buffer[] = []
    const chunks: AsyncIterable<Buffer> = source.open(file)
    let bytes = 0
    for await (const chunk of chunks) {
      bytes += chunk.length
      if (bytes > maxUploadBytes) throw tooManyBytes(maxUploadBytes, bytes)
      if (file.sha1 === undefined) read.push(chunk)
    }
    await engine.inspect(file.sha1 === undefined ? { bytes: Buffer.concat(read) } : { path: file.path })
    return { bytes, isNew: true }
  }

  return async (file, signal) => {
    const isKnown = file.sha1 !== undefined && (await aliases.find(file.sha1, signal)) !== undefined
    if (isKnown) return { bytes: 0, isNew: false }
    return dryRun ? await check(file) : await store(file, signal)
  }
}
