import {
  deletedKey,
  INVALIDATIONS_PREFIX,
  type Invalidation,
  invalidationKey,
  invalidationsSince,
  parseInvalidationKey,
} from '../../domain/stored/store-layout.ts'
import { OriginalError } from '../../errors.ts'
import type { ImageCache } from '../ports/cache.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectStore } from '../ports/store.ts'
import { putBytes, readText } from '../tools/small-object.ts'

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

/** Learns from the store which images were deleted on any node, and makes this one forget them. */
export interface InvalidationWatch {
  /** Goes up with everything that this node forgets. */
  readonly sequence: number
  /** True if this node was told to forget the image after `sequence`: what was read by then must not be published. */
  forgottenSince(id: string, sequence: number): boolean
  /** Forgets on this node, at once. */
  forget(ids: ReadonlySet<string>): Promise<void>
  /** Tells every node, this one included. */
  announce(id: string, signal: AbortSignal): Promise<void>
  /** Looks once; catches up first if this node was away. */
  poll(signal: AbortSignal): Promise<void>
  /** Removes the invalidations that are older than they are kept. */
  trim(signal: AbortSignal): Promise<void>
  /** False until the first look has succeeded: what is on disk may have been deleted meanwhile. */
  readonly caughtUp: boolean
  /** False while the store cannot be polled. */
  readonly isCurrent: boolean
}

export interface InvalidationWatchOptions {
  readonly store: ObjectStore
  readonly cache: ImageCache
  readonly meter: Meter
  readonly now: () => number
  /** Drops what memory holds of these images. */
  readonly onForget: (ids: ReadonlySet<string>) => void
}

const MINUTE_MS = 60_000
/** A node that was away for longer wipes its cache. */
const KEPT_MS = 7 * 24 * 60 * MINUTE_MS
/** How far other nodes' clocks may be behind, for what must be heard at the next look, and for what may take a minute. */
const CLOCK_SLACK_MS = MINUTE_MS
const WIDE_SLACK_MS = 10 * MINUTE_MS
const NOTE = 'invalidations-cursor'
const EMPTY = Buffer.alloc(0)

export function createInvalidationWatch(options: InvalidationWatchOptions): InvalidationWatch {
  const { store, cache, meter, now, onForget } = options
  const forgotten = new Map<string, { sequence: number; time: number }>()
  const heard = new Map<string, number>()
  let sequence = 0
  let caughtUp = false
  let failing = false
  let cursor: number | undefined
  let lastWideLook = 0
  const hiding = createHiding(cache)

  async function forget(ids: ReadonlySet<string>): Promise<void> {
    if (ids.size === 0) return
    sequence += 1
    for (const id of ids) forgotten.set(id, { sequence, time: now() })
    onForget(ids)
    await hiding.hide(ids)
  }

  /** Where to begin after a start: at this node's own note, or with an empty cache. */
  async function resume(): Promise<number> {
    const noted = Number((await cache.readNote(NOTE)) ?? Number.NaN)
    // A note from the future is by a clock that was wrong then or is now: it does not say what was missed.
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
    for (const [id, { time: at }] of forgotten) if (at < time - WIDE_SLACK_MS) forgotten.delete(id)
  }

  return {
    get sequence() {
      return sequence
    },
    forgottenSince: (id, since) => (forgotten.get(id)?.sequence ?? 0) > since,
    forget,
    async announce(id, signal) {
      const key = invalidationKey({ id, time: now() })
      const mark = { key, bytes: EMPTY, contentType: 'text/plain', overwrite: true, forDeletion: true }
      await putBytes(store, mark, signal)
      // Heard once more, it would spoil what comes after it: a new upload of the same image.
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
  }
}

async function removeBefore(oldest: string, store: ObjectStore, signal: AbortSignal): Promise<void> {
  for await (const key of store.list(INVALIDATIONS_PREFIX, '', signal)) {
    if (key >= oldest) return
    await store.remove(key, signal)
  }
}

/**
 * Hides images on this node's disk. A disk that was read-only when an image had to be hidden must not show the image later,
 * so what the disk refused is tried again.
 */
export interface Hiding {
  hide(ids: Iterable<string>): Promise<void>
  hideAll(): Promise<void>
  /** Hides what the disk refused to hide earlier. */
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
