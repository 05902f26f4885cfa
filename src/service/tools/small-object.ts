import { createHash } from 'node:crypto'
import { UnavailableError } from '../../errors.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectStore, OpenObject, PutOptions } from '../ports/store.ts'

const MAX_TEXT_BYTES = 65_536

/** Reads a small object as text. @returns undefined if there is no such key. */
export async function readText(store: ObjectStore, key: string, signal: AbortSignal): Promise<string | undefined> {
  const object = await store.open(key, signal)
  return object && (await readWhole(object, MAX_TEXT_BYTES)).toString()
}

/**
 * Reads an open object into memory. @throws UnavailableError `store_unavailable` if it is larger, truncated or stalls.
 */
export async function readWhole(object: OpenObject, maxBytes: number): Promise<Buffer> {
  if (object.sizeBytes <= maxBytes) {
    if (object.bytes) return object.bytes
    const chunks: Buffer[] = []
    for await (const chunk of byteChunks(object.body)) chunks.push(chunk)
    return Buffer.concat(chunks)
  }
  object.body.destroy()
  throw new UnavailableError('store_unavailable', 'The object store contains an object of unexpected format')
}

/** The chunks are buffers, which the type of a stream does not tell. */
function byteChunks(body: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  return body
}

/** Writes bytes from memory. */
export async function putBytes(
  store: ObjectStore,
  small: SmallObject,
  signal: AbortSignal,
): Promise<'created' | 'exists'> {
  const { key, bytes, ...options } = small
  const md5 = createHash('md5').update(bytes).digest('hex')
  return await store.put(key, { bytes }, { ...options, sizeBytes: bytes.length, md5 }, signal)
}

export interface SmallObject extends Pick<PutOptions, 'contentType' | 'overwrite' | 'forDeletion' | 'rebuildable'> {
  readonly key: string
  readonly bytes: Buffer
}

/** Stores derived objects for other nodes. */
export interface Sharing {
  /**
   * After a failed write, no write is attempted for a while.
   * @returns false if the write failed, which is logged.
   * @throws Errors of other kinds.
   */
  share(object: Omit<SmallObject, 'overwrite'>, signal: AbortSignal): Promise<boolean>
}

export interface SharingOptions {
  readonly store: ObjectStore
  readonly meter: Pick<Meter, 'trouble'>
  /** Message for the operator: the object that was not written, and the effect. */
  readonly trouble: string
}

/** Pause after a failed write. */
const UNSHARED_MS = 60_000

export function createSharing({ store, meter, trouble }: SharingOptions): Sharing {
  let unsharedUntil = 0
  return {
    async share(object, signal) {
      if (performance.now() < unsharedUntil) return false
      try {
        await putBytes(store, { ...object, overwrite: true }, signal)
        return true
      } catch (error) {
        if (signal.aborted || !(error instanceof UnavailableError)) throw error
        const isFirst = performance.now() >= unsharedUntil
        unsharedUntil = performance.now() + UNSHARED_MS
        // Others may have begun before this one failed.
        if (isFirst) meter.trouble(trouble, error)
        return false
      }
    },
  }
}
