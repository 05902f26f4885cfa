import { createHash } from 'node:crypto'
import { UnavailableError } from '../errors.ts'
import type { ObjectStore, PutOptions } from './ports.ts'

const MAX_BYTES = 65_536

/** Reads an object of ours that is small by design. @returns undefined if there is no such key. */
export async function readText(store: ObjectStore, key: string, signal: AbortSignal): Promise<string | undefined> {
  const object = await store.open(key, signal)
  if (object === undefined) return undefined
  if (object.sizeBytes <= MAX_BYTES) {
    const chunks: Buffer[] = []
    for await (const chunk of object.body) chunks.push(Buffer.from(chunk))
    return Buffer.concat(chunks).toString()
  }
  object.body.destroy()
  throw new UnavailableError('store_unavailable', 'The object store holds something that is not ours under our key')
}

/** Writes bytes from memory. */
export async function putBytes(
  store: ObjectStore,
  key: string,
  bytes: Buffer,
  options: Pick<PutOptions, 'contentType' | 'overwrite'>,
  signal: AbortSignal,
): Promise<'created' | 'exists'> {
  const md5 = createHash('md5').update(bytes).digest('hex')
  return await store.put(key, { bytes }, { ...options, sizeBytes: bytes.length, md5 }, signal)
}
