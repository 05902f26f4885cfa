import { LRUCache } from 'lru-cache'
import type { Freshness } from '../../domain/caching/http-caching.ts'
import type { ObjectRef } from '../../domain/identity/image-id.ts'
import { formatObjectNotice, parseObjectNotice, resourceId, versionId } from '../../domain/identity/image-id.ts'
import { ChangedError, OriginalError, RequestError } from '../../errors.ts'
import type { DeletionGuard, GuardedWork } from '../deletion/guard.ts'
import type { Bucket, ObjectVersion } from '../ports/bucket.ts'
import type { ImageCache } from '../ports/cache.ts'
import type { ChangingSource, Version } from '../ports/originals.ts'
import { createBackground } from '../tools/background.ts'
import { entryBound, unsharedText } from '../tools/memoize.ts'
import { createArrivals } from './arrivals.ts'

/** A configured bucket, and how its objects are served. */
export interface ServedBucket {
  readonly bucket: Bucket
  /** Only keys with this prefix are served; empty: all keys. */
  readonly keyPrefix: string
  readonly freshness: Freshness
}

export interface BucketsOptions {
  /** By alias. */
  readonly buckets: ReadonlyMap<string, ServedBucket>
  readonly cache: ImageCache
  readonly guard: DeletionGuard
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Maximum number of entries of each table in memory. */
  readonly maxRemembered: number
}

/** @see createBuckets */
export interface LocatedObject extends Version {
  readonly ref: ObjectRef
  readonly object: ObjectVersion
}

/** Approximate memory of a version, without the key and the version's name. */
const ENTRY_BYTES = 600
/** The fetch follows at once, unless the queue is long: then the object is opened again. */
const ARRIVALS = { max: 16, keptMs: 1_000 } as const
/** A notice on the disk is renewed at most this often. */
const NOTICE_MS = 600_000

/** The objects that others put into configured buckets. Another ETag is another version. */
export function createBuckets(options: BucketsOptions): ChangingSource<ObjectRef, LocatedObject> {
  const { buckets, cache, guard, now, maxRemembered } = options
  const noticed = new LRUCache<string, { readonly id: string; readonly at: number }>(entryBound(maxRemembered))
  const background = createBackground()
  const arrivals = createArrivals(ARRIVALS)

  function served({ bucket: alias, key }: ObjectRef): ServedBucket {
    const found = buckets.get(alias)
    if (found?.keyPrefix !== undefined && key.startsWith(found.keyPrefix)) return found
    throw new OriginalError('original_not_found', 'Image not found')
  }

  /** Written in the background: no request waits for the disk. */
  function keepNotice({ id, resource, object, checkedAt }: LocatedObject, work: GuardedWork): void {
    const last = noticed.get(resource)
    if (last?.id === id && checkedAt - last.at < NOTICE_MS) return
    noticed.set(resource, { id, at: checkedAt })
    const notice = { ...object, modifiedAt: object.modifiedAt.getTime(), checkedAt }
    background.track(work.tryPublish(() => cache.writeNotice(resource, formatObjectNotice(notice))))
  }

  return {
    assertServed({ bucket: alias }) {
      if (!buckets.has(alias)) throw unknownBucket(alias)
    },
    /** After a start, what the bucket said before it is used while the bucket does not respond, and only then. */
    async recall(ref) {
      const { freshness } = served(ref)
      const text = await cache.readNotice(resourceId(ref))
      const notice = text === undefined ? undefined : parseObjectNotice(text)
      if (notice === undefined) return undefined
      const { checkedAt, modifiedAt, ...object } = notice
      const old = { ...freshness, freshSeconds: 0, staleWhileRevalidateSeconds: 0 }
      return versionOf(ref, { ...object, modifiedAt: new Date(modifiedAt) }, { checkedAt, freshness: old })
    },
    async resolve(ref, known, signal) {
      const { bucket, freshness } = served(ref)
      const work = guard.begin(resourceId(ref))
      const checkedAt = now()
      if (known === undefined && !noticed.has(resourceId(ref)) && arrivals.hasRoom()) {
        // This node knows nothing of the key, so it has no rendition of it either: the bytes come with the version.
        const read = await bucket.read(ref, signal)
        if (read === undefined) throw new OriginalError('original_not_found', 'Image not found')
        const version = versionOf(ref, read.version, { checkedAt, freshness })
        arrivals.add(version.id, read.object)
        keepNotice(version, work)
        return version
      }
      const found = await bucket.look(ref, known?.object.etag, signal)
      if (found === undefined) throw new OriginalError('original_not_found', 'Image not found')
      const object = found === 'unchanged' ? known?.object : found
      // No server says "unchanged" to an unconditional request.
      if (object === undefined) throw new ChangedError()
      const version = versionOf(ref, object, { checkedAt, freshness })
      keepNotice(version, work)
      return version
    },
    async open({ id, ref, object: { etag } }, signal) {
      const object = arrivals.take(id) ?? (await served(ref).bucket.open(ref, etag, signal))
      if (object !== undefined) return object
      throw new ChangedError()
    },
    sizeBytes: async ({ object }) => object.sizeBytes,
    // An ETag is an MD5 of the bytes for some objects only, and an MD5 takes a tenth of a first view.
    hashes: () => [],
    isGenuine: ({ object }, { sizeBytes }) => object.sizeBytes === sizeBytes,
    sharesRenditions: true,
    memoryBytes: ({ ref }) => ENTRY_BYTES + 2 * (ref.key.length + (ref.versionId?.length ?? 0)),
    /** The next notice is written at once. That the key is known is kept: there may be renditions of its current version. */
    forget(ids) {
      for (const id of ids) if (noticed.has(id)) noticed.set(id, { id: '', at: -Infinity })
    },
    get pending() {
      return background.pending
    },
    async stop() {
      arrivals.clear()
      await background.stop()
    },
  }
}

function versionOf(
  ref: ObjectRef,
  object: ObjectVersion,
  terms: { readonly checkedAt: number; readonly freshness: Freshness },
): LocatedObject {
  const resource = resourceId(ref)
  const { etag, sizeBytes, modifiedAt } = object
  return {
    ...terms,
    // Two objects with the same ETag by accident would also need the same length.
    id: versionId(resource, `${etag} ${sizeBytes}`),
    resource,
    sizeBytes,
    modifiedAt,
    isFixed: ref.versionId !== undefined,
    ref: { ...ref, key: unsharedText(ref.key) },
    object,
  }
}

/** An alias that is not configured. */
export function unknownBucket(alias: string): RequestError {
  const reason = `Unknown bucket alias "${alias}": aliases are the keys of "buckets" in BUCKETS_FILE`
  return new RequestError('bucket_not_found', reason)
}
