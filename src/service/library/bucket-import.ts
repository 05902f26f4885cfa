import type { Readable } from 'node:stream'
import { completeChunks } from '../../domain/picture/container-end.ts'
import { DamagedFileError } from '../../errors.ts'
import type { ImportSource } from '../ports/originals.ts'
import type { ObjectStore } from '../ports/store.ts'

export interface BucketImportOptions {
  /** Only read. */
  readonly bucket: Pick<ObjectStore, 'listObjects' | 'open'>
  /** Of the keys. */
  readonly prefix: string
  /** `Readable.from`: services have no streams of their own. */
  readonly streamOf: (chunks: AsyncIterable<Buffer>) => Readable
  readonly signal: AbortSignal
}

/** The objects of a bucket, by key; their paths are keys. */
export function createBucketImport({ bucket, prefix, streamOf, signal }: BucketImportOptions): ImportSource {
  async function* chunksOf(key: string): AsyncIterable<Buffer> {
    const object = await bucket.open(key, signal)
    if (object === undefined) throw new DamagedFileError('was deleted during the import')
    const chunks: AsyncIterable<Buffer> = object.body
    yield* chunks
  }
  return {
    async *files(after = '') {
      for await (const { key, sizeBytes } of bucket.listObjects(prefix, after, signal)) {
        if (!key.endsWith('/')) yield { path: key, sizeBytes }
      }
    },
    open: ({ path }) => streamOf(completeChunks(chunksOf(path))),
  }
}
