import {
  deletedKey,
  INVALIDATIONS_PREFIX,
  type Invalidation,
  invalidationKey,
  invalidationsSince,
  parseInvalidationKey,
} from '../../domain/stored/store-layout.ts'
import { InvalidatedError } from '../../errors.ts'
import type { ImageCache } from '../ports/cache.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectStore } from '../ports/store.ts'
import { putBytes, readText } from '../tools/small-object.ts'

/**
 * Keeps a deleted image from coming back to the disk and the memory of this node.
 *
 * The race: a request reads an original and renders it. Meanwhile the image is deleted, and this node drops its files and its
 * entries in memory. Then the request publishes a rendition of the bytes that it read before. Nothing would remove that rendition
 * again, as the node has dropped the image already. One check before the publishing is not enough: the deletion may come between
 * the check and the end of the write. So the guard compares the sequence number of deletions before the first read, before the
 * publishing, and after it.
 *
 * Until this node reads a deletion of another node from the store, within two seconds, it still publishes; then it hides the
 * files. Objects that are written to the store (mezzanines, infos) are not covered: their writers look for the original after the
 * write, and remove them if it is gone.
 *
 * Entries about an object in a bucket are guarded by its resource id, which an event invalidates. The id of a version is never
 * invalidated, as its bytes never change.
 */
export interface DeletionGuard {
  /**
   * To be called before the first read. A deletion does not affect work that begins after it, because the image may have been
   * uploaded again.
   * @param id Of an image, a version, or a resource (`resourceId`).
   */
  begin(id: string): GuardedWork
}

/** Work on one image, from the first read to the last publishing. */
export interface GuardedWork {
  /** True if this node was told to forget the image since the work began. */
  readonly isInvalidated: boolean
  /** Sets an entry in memory, unless the image is invalidated. `set` must be synchronous: a deletion drops entries at once. */
  remember(set: () => void): void
  /**
   * Publishes the result of the work. If the image is invalidated before or during `put`, nothing stays: `discard` runs, and the
   * files of the image are hidden, even if `put` did not run. So the next attempt of the caller cannot read files that the
   * deletion has not hidden yet.
   * @param discard Undoes what hiding the files does not. It also runs if `put` did not.
   * @throws InvalidatedError
   */
  publish<T>(put: () => T | Promise<T>, discard?: () => void | Promise<void>): Promise<T>
  /** The same, without an error. @returns false if the image is invalidated. */
  tryPublish(put: () => unknown): Promise<boolean>
}

export interface DeletionGuardOptions {
  readonly watch: Pick<InvalidationWatch, 'sequence' | 'forgottenSince' | 'hide'>
}

export function createDeletionGuard({ watch }: DeletionGuardOptions): DeletionGuard {
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
        await watch.hide([id])
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
          throw new InvalidatedError()
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

/** Reads from the store which images were deleted on any node, and makes this node forget them. */
export interface InvalidationWatch {
  /** Rises with every invalidation. */
  readonly sequence: number
  /**
   * True if the image was invalidated after `sequence`: bytes that were read before must not be published. Also true for a sequence
   * so old that the invalidations after it are no longer in memory.
   */
  forgottenSince(id: string, sequence: number): boolean
  /** Invalidates images on this node, at once. */
  forget(ids: ReadonlySet<string>): Promise<void>
  /** Hides the files of images; a disk that refuses is tried again at the next polls. */
  hide(ids: Iterable<string>): Promise<void>
  /** Invalidates an image on every node, including this one. */
  announce(id: string, signal: AbortSignal): Promise<void>
  /** Polls once; catches up first if this node was away. */
  poll(signal: AbortSignal): Promise<void>
  /** Removes expired invalidations from the store. */
  trim(signal: AbortSignal): Promise<void>
  /** False until the first poll has succeeded: files on disk may belong to deleted images. */
  readonly caughtUp: boolean
  /** False while the store cannot be polled. */
  readonly isCurrent: boolean
  /** Since the last successful poll began; 0 before the first one. */
  readonly lagSeconds: number
}

export interface InvalidationWatchOptions {
  readonly store: ObjectStore
  readonly cache: ImageCache
  readonly meter: Meter
  readonly now: () => number
  /** Drops the entries of these images in memory. */
  readonly onForget: (ids: ReadonlySet<string>) => void
  /** An invalidation of this node is in the store: other nodes may look for it. */
  readonly onAnnounced?: () => void
}

const MINUTE_MS = 60_000
/** Lifetime of an invalidation. A node that was away for longer wipes its cache. */
const KEPT_MS = 7 * 24 * 60 * MINUTE_MS
/** Tolerated lag of other nodes' clocks: at every poll, and at the wide poll once a minute. */
const CLOCK_SLACK_MS = MINUTE_MS
const WIDE_SLACK_MS = 10 * MINUTE_MS
const NOTE = 'invalidations-cursor'
const EMPTY = Buffer.alloc(0)

export function createInvalidationWatch(options: InvalidationWatchOptions): InvalidationWatch {
  const { store, cache, meter, now, onForget, onAnnounced } = options
  const invalidated = createInvalidated()
  const heard = new Map<string, number>()
  let caughtUp = false
  let failing = false
  let cursor: number | undefined
  let lastWideLook = 0
  const hiding = createHiding(cache)

  async function forget(ids: ReadonlySet<string>): Promise<void> {
    if (ids.size === 0) return
    invalidated.add(ids, now())
    onForget(ids)
    await hiding.hide(ids)
  }

  /** The time of the first poll after a start: that of this node's own note. Without a valid note, the cache is wiped. */
  async function resume(): Promise<number> {
    const noted = Number((await cache.readNote(NOTE)) ?? Number.NaN)
    // A note from the future comes from a clock that was wrong then or is wrong now.
    if (noted > now() - KEPT_MS && noted <= now() + WIDE_SLACK_MS) return noted
    await hiding.hideAll()
    return now()
  }

  async function look(signal: AbortSignal): Promise<void> {
    const time = now()
    const wide = time - lastWideLook > MINUTE_MS
    cursor ??= await resume()
    const since = cursor - (wide ? WIDE_SLACK_MS : CLOCK_SLACK_MS)
    const fresh = new Map<string, Invalidation>()
    for await (const key of store.list(INVALIDATIONS_PREFIX, invalidationsSince(since), signal)) {
      const invalidation = parseInvalidationKey(key)
      if (invalidation && !heard.has(key)) fresh.set(key, invalidation)
    }
    await hiding.retry()
    await forget(new Set([...fresh.values()].map(({ id }) => id)))
    for (const [key, invalidation] of fresh) heard.set(key, Math.max(time, invalidation.time))
    if (wide) await cache.writeNote(NOTE, String(time))
    if (wide) lastWideLook = time
    cursor = time
    prune(time)
  }

  function prune(time: number): void {
    for (const [key, heardAt] of heard) if (heardAt < time - 2 * WIDE_SLACK_MS) heard.delete(key)
    invalidated.prune(time - WIDE_SLACK_MS)
  }

  return {
    get sequence() {
      return invalidated.sequence
    },
    forgottenSince: invalidated.since,
    forget,
    hide: hiding.hide,
    async announce(id, signal) {
      const key = invalidationKey({ id, time: now() })
      const mark = { key, bytes: EMPTY, contentType: 'text/plain', overwrite: true, forDeletion: true }
      await putBytes(store, mark, signal)
      onAnnounced?.()
      // A second invalidation by the poll would remove the files of a new upload of the same image.
      heard.set(key, now())
      await forget(new Set([id]))
    },
    async poll(signal) {
      try {
        await look(signal)
        caughtUp = true
        failing = false
      } catch (error) {
        if (!failing && !signal.aborted) meter.trouble('The object store could not be polled for deletions', error)
        failing = true
      }
    },
    trim: (signal) => removeBefore(invalidationsSince(now() - KEPT_MS - MINUTE_MS), store, signal),
    get caughtUp() {
      return caughtUp
    },
    get isCurrent() {
      return caughtUp && !failing
    },
    get lagSeconds() {
      return cursor === undefined || !caughtUp ? 0 : Math.max(0, (now() - cursor) / 1000)
    },
  }
}

/** The invalidations of the last minutes, by image. */
function createInvalidated() {
  const byId = new Map<string, { readonly sequence: number; readonly time: number }>()
  let sequence = 0
  let pruned = 0
  return {
    get sequence() {
      return sequence
    },
    since: (id: string, earlier: number): boolean => earlier < pruned || (byId.get(id)?.sequence ?? 0) > earlier,
    add(ids: ReadonlySet<string>, time: number): void {
      sequence += 1
      for (const id of ids) byId.set(id, { sequence, time })
    },
    /** Drops older invalidations. Work that began before one of them counts as invalidated from then on. */
    prune(before: number): void {
      for (const [id, entry] of byId) {
        if (entry.time >= before) continue
        byId.delete(id)
        pruned = Math.max(pruned, entry.sequence)
      }
    },
  }
}

async function removeBefore(oldest: string, store: ObjectStore, signal: AbortSignal): Promise<void> {
  for await (const key of store.list(INVALIDATIONS_PREFIX, '', signal)) {
    if (key >= oldest) return
    await store.remove(key, signal)
  }
}

/** Hides images on this node's disk. If the disk refuses (read-only), it is tried again, so that no deleted image reappears. */
interface Hiding {
  hide(ids: Iterable<string>): Promise<void>
  hideAll(): Promise<void>
  /** Hides the images that the disk refused to hide. */
  retry(): Promise<void>
}

function createHiding(cache: Pick<ImageCache, 'hide' | 'hideAll'>): Hiding {
  const unhidden = new Set<string>()
  let isWiped = true

  async function hide(ids: Iterable<string>): Promise<void> {
    for (const id of await cache.hide(ids)) unhidden.add(id)
  }

  return {
    hide,
    async hideAll() {
      isWiped = await cache.hideAll()
    },
    async retry() {
      if (!isWiped) isWiped = await cache.hideAll()
      const rest = [...unhidden]
      unhidden.clear()
      await hide(rest)
    },
  }
}
