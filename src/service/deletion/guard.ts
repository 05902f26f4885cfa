import { deletedKey } from '../../domain/stored/store-layout.ts'
import { OriginalError } from '../../errors.ts'
import type { ImageCache } from '../ports/cache.ts'
import type { ObjectStore } from '../ports/store.ts'
import { readText } from '../tools/small-object.ts'
import type { InvalidationWatch } from './invalidation-watch.ts'

/**
 * Keeps a deleted image from coming back to this node.
 *
 * The race: a request reads an original and makes something of it. Meanwhile the image is deleted, and this node drops its
 * files and its entries in memory. Then the request publishes what it has made of the bytes that it read before. Nothing
 * would remove that again, as the node has dropped the image already. One check before the publishing is not enough: the
 * deletion may come between the check and the end of the write. So the guard looks at the sequence number of deletions
 * before the first read, before the publishing, and after it.
 *
 * The guard also covers replaced originals of buckets and hosts: this node forgets them in the same way.
 */
export interface DeletionGuard {
  /**
   * To be called before anything of the image is read. Work that is begun after a deletion is not affected by it, because
   * the image may have been uploaded again.
   * @param id Of an image, a version, or a resource (`resourceId`).
   */
  begin(id: string): GuardedWork
}

/** What is made of one image, from the first read to the last publishing. */
export interface GuardedWork {
  /** True if this node was told to forget the image since the work began. */
  readonly isInvalidated: boolean
  /** Sets an entry in memory, unless the image is invalidated. `set` must not wait: a deletion drops entries at once. */
  remember(set: () => void): void
  /**
   * Publishes something that outlives the work. If the image is invalidated before or during `put`, nothing stays: `discard`
   * runs, and the files of the image are hidden. They are hidden also if nothing was published: a caller that tries again
   * must not read files that the deletion is still about to hide.
   * @param discard Undoes what hiding the files does not. It also runs if `put` did not.
   * @throws OriginalError `original_deleted`
   */
  publish<T>(put: () => T | Promise<T>, discard?: () => void | Promise<void>): Promise<T>
  /** The same for work that goes on without it. @returns false if the image is invalidated. */
  tryPublish(put: () => unknown): Promise<boolean>
}

export interface DeletionGuardOptions {
  readonly watch: Pick<InvalidationWatch, 'sequence' | 'forgottenSince'>
  readonly cache: Pick<ImageCache, 'hide'>
}

export function createDeletionGuard({ watch, cache }: DeletionGuardOptions): DeletionGuard {
  return {
    begin(id) {
      const { sequence } = watch
      const isInvalidated = () => watch.forgottenSince(id, sequence)

      async function settle<T>(put: () => T | Promise<T>, discard?: () => void | Promise<void>) {
        if (!isInvalidated()) {
          const value = await put()
          if (!isInvalidated()) return { value }
        }
        await discard?.()
        await cache.hide([id])
        return undefined
      }

      return {
        get isInvalidated() {
          return isInvalidated()
        },
        remember(set) {
          if (!isInvalidated()) set()
        },
        async publish(put, discard) {
          const published = await settle(put, discard)
          if (published) return published.value
          throw new OriginalError('original_deleted', 'This image was deleted')
        },
        tryPublish: async (put) => (await settle(put)) !== undefined,
      }
    },
  }
}

/** Whether the image was deleted and not uploaded again. */
export async function isDeleted(store: ObjectStore, id: string, signal: AbortSignal): Promise<boolean> {
  return (await readText(store, deletedKey(id), signal)) !== undefined
}
