import { LRUCache } from 'lru-cache'
import type { Freshness } from '../domain/freshness.ts'
import type { ObjectRef } from '../domain/original-ref.ts'
import { resourceId, versionId } from '../domain/version-id.ts'
import { OriginalError } from '../errors.ts'
import { createFreshAnswers } from './fresh-answers.ts'
import type { InvalidationWatch } from './invalidation-watch.ts'
import type { Bucket, ObjectVersion } from './ports.ts'
import { ChangedError, type Version, type Versions } from './versions.ts'

/** A configured bucket, and on which terms its objects are served. */
export interface ServedBucket {
  readonly bucket: Bucket
  /** Only keys that begin so are served; empty: all. */
  readonly keyPrefix: string
  readonly freshness: Freshness
}

export interface ObjectVersionsOptions {
  /** By their aliases. */
  readonly buckets: ReadonlyMap<string, ServedBucket>
  readonly watch: InvalidationWatch
  /** Milliseconds since 1970. */
  readonly now: () => number
}

interface Located extends Version {
  readonly ref: ObjectRef
  readonly object: ObjectVersion
}

/** One that is being rendered has been looked up just now. */
const MAX_LOCATED = 100_000

/** Objects that were already in somebody's bucket. A version is what one ETag names. */
export function createObjectVersions({ buckets, watch, now }: ObjectVersionsOptions): Versions<ObjectRef> {
  const answers = createFreshAnswers<Located>({ watch, now })
  const located = new LRUCache<string, Located>({ max: MAX_LOCATED })

  function served({ bucket: alias, key }: ObjectRef): ServedBucket {
    const found = buckets.get(alias)
    if (found?.keyPrefix !== undefined && key.startsWith(found.keyPrefix)) return found
    throw new OriginalError('original_not_found', 'There is no such image')
  }

  async function ask(ref: ObjectRef, known: Located | undefined, signal: AbortSignal): Promise<Located> {
    const { bucket, freshness } = served(ref)
    const checkedAt = now()
    const found = await bucket.look(ref, known?.object.etag, signal)
    if (found === undefined) throw new OriginalError('original_not_found', 'There is no such image')
    const terms = { checkedAt, freshness, isFixed: ref.versionId !== undefined }
    if (found === 'unchanged') {
      // Without anything to compare with, no server says so.
      if (known === undefined) throw new ChangedError()
      return locate({ ...known, ...terms })
    }
    const resource = resourceId(ref)
    // An ETag that two objects share by accident would need the same length as well.
    const id = versionId(resource, `${found.etag} ${found.sizeBytes}`)
    return locate({
      ...terms,
      id,
      resource,
      sizeBytes: found.sizeBytes,
      modifiedAt: found.modifiedAt,
      ref,
      object: found,
    })
  }

  function locate(version: Located): Located {
    located.set(version.id, version)
    return version
  }

  return {
    async current(ref, signal) {
      const version = await answers.get(resourceId(ref), { ask: (known, within) => ask(ref, known, within) }, signal)
      // It may have been dropped from here, but not from there.
      return locate(version)
    },
    expire: (ref) => answers.expire(resourceId(ref)),
    forget: answers.forget,
    knows: (id) => located.has(id),
    stop: answers.stop,

    async open(id, signal) {
      const version = located.get(id)
      if (version === undefined) throw new ChangedError()
      const { bucket } = served(version.ref)
      const object = await bucket.open(version.ref, version.object.etag, signal)
      if (object !== undefined) return object
      throw new ChangedError()
    },
    sizeBytes: async (id) => located.get(id)?.object.sizeBytes,
    isGenuine(id, { sizeBytes, md5 }) {
      const { object } = located.get(id) ?? {}
      return object?.sizeBytes === sizeBytes && (object.md5 === undefined || object.md5 === md5)
    },
  }
}
