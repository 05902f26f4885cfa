import type { Readable } from 'node:stream'
import { LRUCache } from 'lru-cache'
import type { ByteRange } from '../../domain/caching/http-caching.ts'
import type { GuardedWork } from '../deletion/guard.ts'
import type { ImageCache, Spooled } from '../ports/cache.ts'
import type { ObjectSource } from '../ports/store.ts'
import type { Resolver } from './resolve.ts'

/** Originals on this node: on its disk, or in memory while the disk cannot be written to. */
export interface LocalOriginals {
  /** @returns undefined if the original is not on this node. */
  find(id: string): Promise<ObjectSource | undefined>
  /** @returns undefined if the original is not on this node with that size. */
  open(wanted: WantedBytes): Promise<Readable | Buffer | undefined>
  /**
   * Adds a fetched original; it takes ownership of `spooled`.
   * @returns undefined if the file could not be moved into the cache.
   * @throws OriginalError `original_deleted`
   */
  keep(id: string, spooled: Spooled, work: GuardedWork): Promise<ObjectSource | undefined>
  /** Drops a corrupt original. */
  drop(id: string): Promise<void>
  /** Drops what memory holds of these images. */
  forget(ids: ReadonlySet<string>): void
}

export interface WantedBytes {
  readonly id: string
  /** Of the whole original, by its record. */
  readonly sizeBytes: number
  /** Absent: the whole original. */
  readonly range?: ByteRange | undefined
}

export interface LocalOriginalsOptions {
  readonly cache: ImageCache
  readonly versions: Pick<Resolver, 'locate'>
  /** Maximum bytes in memory while the disk cannot be written to. */
  readonly maxLooseBytes: number
}

/** After this time in memory the disk is tried again. */
const LOOSE_MS = 30_000

export function createLocalOriginals({ cache, versions, maxLooseBytes }: LocalOriginalsOptions): LocalOriginals {
  const loose = new LRUCache<string, Spooled>({
    maxSize: maxLooseBytes,
    sizeCalculation: ({ sizeBytes }) => Math.max(1, sizeBytes),
    ttl: LOOSE_MS,
    ttlAutopurge: true,
    dispose: (spooled) => void spooled.discard(),
  })

  return {
    async find(id) {
      const path = await cache.findOriginal(id)
      return path === undefined ? (loose.get(id)?.source ?? versions.locate(id).held()) : { path }
    },
    async open({ id, sizeBytes, range }) {
      const held = loose.get(id)?.source
      if (held && 'bytes' in held) return partOf(held.bytes, range)
      return await cache.openOriginal(id, sizeBytes, range)
    },
    async keep(id, spooled, work) {
      const { source } = spooled
      const adopt = () => ('path' in source ? cache.adoptOriginal(id, source.path) : undefined)
      const path = await work.publish(adopt, spooled.discard)
      if (path !== undefined) return { path }
      if ('bytes' in source) {
        work.remember(() => loose.set(id, spooled))
        // Too large for the table.
        if (!loose.has(id)) await spooled.discard()
        return source
      }
      await spooled.discard()
      return undefined
    },
    async drop(id) {
      await cache.hide([id])
      loose.delete(id)
    },
    forget(ids) {
      for (const id of ids) loose.delete(id)
    },
  }
}

export function partOf(bytes: Buffer, range: ByteRange | undefined): Buffer {
  return range ? bytes.subarray(range.start, range.end + 1) : bytes
}
