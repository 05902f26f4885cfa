import { Readable } from 'node:stream'
import { createImageFolder } from '../src/adapters/image-folder/image-folder.ts'
import { createReticulumFolder } from '../src/adapters/reticulum/reticulum-folder.ts'
import type { Config } from '../src/config/env.ts'
import { createStore } from '../src/node/outside.ts'
import { createBucketImport } from '../src/service/library/bucket-import.ts'
import type { ImportSource } from '../src/service/ports/originals.ts'
import type { ImportPlace } from './import-options.ts'

export interface OpenedSource {
  readonly source: ImportSource
  close(): void
}

/** Opens the source of the import. A bucket is on the S3 server of the settings. */
export async function openSource(place: ImportPlace, config: Config, signal: AbortSignal): Promise<OpenedSource> {
  if (place.kind !== 'bucket') {
    const create = place.kind === 'folder' ? createImageFolder : createReticulumFolder
    return { source: create(place.folder), close() {} }
  }
  const bucket = await createStore({ ...config, STORE: `s3://${place.bucket}` })
  const streamOf = (chunks: AsyncIterable<Buffer>) => Readable.from(chunks, { objectMode: false })
  const source = createBucketImport({ bucket, prefix: place.prefix, streamOf, signal })
  return { source, close: () => bucket.close() }
}

/** Counts in the background, for the remaining time. */
export interface SourceTotal {
  /** Undefined until everything is counted. */
  bytes(): number | undefined
}

/** @param after As in `ImportSource.files`. */
export function countBytes(source: ImportSource, after: string | undefined, signal: AbortSignal): SourceTotal {
  let total: number | undefined
  const count = async () => {
    let bytes = 0
    for await (const file of source.files(after)) {
      if (signal.aborted) return
      bytes += 'sizeBytes' in file ? (file.sizeBytes ?? 0) : 0
    }
    total = bytes
  }
  // The import itself reports what fails; without a total there is no remaining time.
  count().catch(() => {})
  return { bytes: () => total }
}

export function nameOf(place: ImportPlace): string {
  if (place.kind === 'bucket') return `s3://${place.bucket}/${place.prefix}`
  return place.kind === 'reticulum' ? `reticulum:${place.folder}` : place.folder
}
