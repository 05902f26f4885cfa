import { createHash } from 'node:crypto'
import { basename } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { createS3Store, type S3StoreSettings } from '../../src/adapters/s3/s3-store.ts'
import { idOf } from '../pictures/picture.ts'

const never = new AbortController().signal

/** What is in the store, past every node. */
export interface StoredOriginals {
  /** SHA-256 of the whole of each, by id. */
  readonly hashes: ReadonlyMap<string, string>
  /** Ids whose bytes are others'. */
  readonly damaged: readonly string[]
}

/** Reads every original of a bucket. */
export async function readOriginals(settings: S3StoreSettings): Promise<StoredOriginals> {
  const store = createS3Store(settings)
  const hashes = new Map<string, string>()
  const damaged: string[] = []
  try {
    for await (const key of store.list('originals/', '', never)) {
      const object = await store.open(key, never)
      if (object === undefined) throw new Error(`${key} was listed and is not there`)
      const bytes = await buffer(object.body)
      const id = basename(key)
      if (idOf(bytes) !== id) damaged.push(id)
      hashes.set(id, createHash('sha256').update(bytes).digest('hex'))
    }
  } finally {
    store.close()
  }
  return { hashes, damaged }
}

/** Ids of the originals in a bucket whose bytes are others'. */
export async function damagedOriginals(settings: S3StoreSettings): Promise<readonly string[]> {
  return (await readOriginals(settings)).damaged
}
