import { LRUCache } from 'lru-cache'
import type { Freshness } from '../../domain/caching/picture-caching.ts'
import { formatObjectNotice, parseObjectNotice, resourceId, versionId } from '../../domain/identity/image-id.ts'
import type { ObjectRef } from '../../domain/identity/original-ref.ts'
import { OriginalError, RequestError } from '../../errors.ts'
import type { DeletionGuard, GuardedWork } from '../deletion/guard.ts'
import type { Bucket, ObjectVersion } from '../ports/bucket.ts'
import type { ImageCache } from '../ports/cache.ts'
import { createBackground } from '../tools/background.ts'
import { unsharedText } from '../tools/memoize.ts'
import { ChangedError, createLocatedVersions, type Version, type Versions } from './versions.ts'

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
  readonly cache: ImageCache
  readonly guard: DeletionGuard
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Entries of each table in memory at most. */
  readonly maxRemembered: number
}

interface Located extends Version {
  readonly ref: ObjectRef
  readonly object: ObjectVersion
}

/** Of a version in memory, without the key and the version's name. */
const ENTRY_BYTES = 600
/** How old what is kept for the next start may be; it is written no more often. */
const NOTICE_MS = 600_000

/** Objects that were already in somebody's bucket. A version is what one ETag names. */
export function createObjectVersions(options: ObjectVersionsOptions): Versions<ObjectRef> {
  const { buckets, cache, guard, now, maxRemembered } = options
  const versions = createLocatedVersions<ObjectRef, Located>({ ask, recall }, { guard, now, maxRemembered, sizeOf })
  const noticed = new LRUCache<string, { readonly id: string; readonly at: number }>({ max: maxRemembered })
  const background = createBackground()

  function served({ bucket: alias, key }: ObjectRef): ServedBucket {
    const found = buckets.get(alias)
    if (found?.keyPrefix !== undefined && key.startsWith(found.keyPrefix)) return found
    throw new OriginalError('original_not_found', 'Image not found')
  }

  async function ask(ref: ObjectRef, known: Located | undefined, signal: AbortSignal): Promise<Located> {
    const { bucket, freshness } = served(ref)
    const work = guard.begin(resourceId(ref))
    const checkedAt = now()
    const found = await bucket.look(ref, known?.object.etag, signal)
    if (found === undefined) throw new OriginalError('original_not_found', 'Image not found')
    const object = found === 'unchanged' ? known?.object : found
    // Without anything to compare with, no server says so.
    if (object === undefined) throw new ChangedError()
    const version = versionOf(ref, object, { checkedAt, freshness })
    keepNotice(version, work)
    return version
  }

  /** After a start what was told before it goes on while the bucket does not answer, and only then. */
  async function recall(ref: ObjectRef): Promise<Located | undefined> {
    const { freshness } = served(ref)
    const text = await cache.readNotice(resourceId(ref))
    const notice = text === undefined ? undefined : parseObjectNotice(text)
    if (notice === undefined) return undefined
    const { checkedAt, modifiedAt, ...object } = notice
    const old = { ...freshness, freshSeconds: 0, staleWhileRevalidateSeconds: 0 }
    return versionOf(ref, { ...object, modifiedAt: new Date(modifiedAt) }, { checkedAt, freshness: old })
  }

  /** Nobody waits for the disk. */
  function keepNotice({ id, resource, object, checkedAt }: Located, work: GuardedWork): void {
    const last = noticed.get(resource)
    if (last?.id === id && checkedAt - last.at < NOTICE_MS) return
    noticed.set(resource, { id, at: checkedAt })
    const notice = { ...object, modifiedAt: object.modifiedAt.getTime(), checkedAt }
    background.track(work.tryPublish(() => cache.writeNotice(resource, formatObjectNotice(notice))))
  }

  return {
    ...versions,
    async current(ref, signal) {
      // Nothing is remembered of such requests.
      if (!buckets.has(ref.bucket)) throw unknownAlias(ref.bucket)
      return await versions.current(ref, signal)
    },
    forget(ids) {
      versions.forget(ids)
      for (const id of ids) noticed.delete(id)
    },
    async stop() {
      await versions.stop()
      await background.stop()
    },

    async open(id, signal) {
      const version = versions.find(id)
      if (version === undefined) throw new ChangedError()
      const { bucket } = served(version.ref)
      const object = await bucket.open(version.ref, version.object.etag, signal)
      if (object !== undefined) return object
      throw new ChangedError()
    },
    sizeBytes: async (id) => versions.find(id)?.object.sizeBytes,
    isGenuine(id, { sizeBytes, md5 }) {
      const { object } = versions.find(id) ?? {}
      return object?.sizeBytes === sizeBytes && (object.md5 === undefined || object.md5 === md5)
    },
  }
}

function sizeOf({ ref }: Located): number {
  return ENTRY_BYTES + 2 * (ref.key.length + (ref.versionId?.length ?? 0))
}

function unknownAlias(alias: string): RequestError {
  const reason = `Unknown bucket alias "${alias}": aliases are the keys of "buckets" in BUCKETS_FILE`
  return new RequestError('bucket_not_found', reason)
}

function versionOf(
  ref: ObjectRef,
  object: ObjectVersion,
  terms: { readonly checkedAt: number; readonly freshness: Freshness },
): Located {
  const resource = resourceId(ref)
  const { etag, sizeBytes, modifiedAt } = object
  return {
    ...terms,
    // An ETag that two objects share by accident would need the same length as well.
    id: versionId(resource, `${etag} ${sizeBytes}`),
    resource,
    sizeBytes,
    modifiedAt,
    isFixed: ref.versionId !== undefined,
    ref: { ...ref, key: unsharedText(ref.key) },
    object,
  }
}
