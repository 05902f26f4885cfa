import { imageIdFromSha256 } from '../../domain/identity/image-id.ts'
import { originalKey } from '../../domain/stored/store-layout.ts'
import { OriginalError } from '../../errors.ts'
import { isDeleted } from '../deletion/guard.ts'
import type { Located, OriginalSource } from '../ports/originals.ts'
import type { ObjectStore } from '../ports/store.ts'

/** The originals that were uploaded. An id is the hash of the bytes, so the bytes can be verified, and never change. */
export function createUploads(store: ObjectStore): OriginalSource<Located, Located> {
  async function absence({ id }: Located, signal: AbortSignal): Promise<OriginalError> {
    if (await isDeleted(store, id, signal)) return new OriginalError('original_deleted', 'This image was deleted')
    return new OriginalError('original_not_found', 'Image not found')
  }

  return {
    resolve: ({ id }) => ({ id }),
    async open({ id }, signal) {
      const object = await store.open(originalKey(id), signal)
      if (object !== undefined) return object
      throw await absence({ id }, signal)
    },
    absence,
    sizeBytes: async ({ id }, signal) => (await store.stat(originalKey(id), signal))?.sizeBytes,
    hashes: () => ['sha256'],
    isGenuine: ({ id }, { sha256 }) => imageIdFromSha256(sha256) === id,
    sharesRenditions: true,
  }
}
