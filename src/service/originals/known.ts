import type { OriginalRef } from '../../domain/identity/image-id.ts'
import { resourceId } from '../../domain/identity/image-id.ts'
import type { ImageCache } from '../ports/cache.ts'
import type { OriginalService } from './fetch.ts'
import type { Resolver } from './resolve.ts'

/** The originals that this node has found before, so that a request for one does not count as one for an unknown image. */
export interface KnownOriginals {
  isInMemory(ref: OriginalRef): boolean
  /** In memory or on disk. */
  isHere(ref: OriginalRef): Promise<boolean>
}

export interface KnownOriginalsOptions {
  readonly originals: Pick<OriginalService, 'knows' | 'isInMemory'>
  readonly versions: Pick<Resolver, 'knows'>
  readonly cache: Pick<ImageCache, 'readNotice'>
}

export function createKnownOriginals({ originals, versions, cache }: KnownOriginalsOptions): KnownOriginals {
  const isInMemory = (ref: OriginalRef) => (ref.kind === 'image' ? originals.isInMemory(ref.id) : versions.knows(ref))
  return {
    isInMemory,
    async isHere(ref) {
      if (ref.kind === 'image') return await originals.knows(ref.id)
      return isInMemory(ref) || (ref.kind === 'object' && (await cache.readNotice(resourceId(ref))) !== undefined)
    },
  }
}
