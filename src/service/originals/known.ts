import type { OriginalRef } from '../../domain/identity/image-id.ts'
import { resourceId } from '../../domain/identity/image-id.ts'
import type { ImageCache } from '../ports/cache.ts'
import type { OriginalService } from './fetch.ts'
import type { Resolver } from './resolve.ts'

/** Whether this node has found the original before, so that a request for it does not count as one for an unknown image. */
export type KnownOriginals = (ref: OriginalRef) => Promise<boolean>

export interface KnownOriginalsOptions {
  readonly originals: Pick<OriginalService, 'knows'>
  readonly versions: Pick<Resolver, 'knows'>
  readonly cache: Pick<ImageCache, 'readNotice'>
}

export function createKnownOriginals({ originals, versions, cache }: KnownOriginalsOptions): KnownOriginals {
  return async (ref) => {
    if (ref.kind === 'image') return await originals.knows(ref.id)
    return versions.knows(ref) || (ref.kind === 'object' && (await cache.readNotice(resourceId(ref))) !== undefined)
  }
}
