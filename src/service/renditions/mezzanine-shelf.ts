import { LRUCache } from 'lru-cache'
import { MEZZANINE_LEVELS, type MezzanineLevel } from '../../domain/picture/mezzanine.ts'
import type { OriginalFacts } from '../../domain/picture/original-facts.ts'
import { openMezzanine } from '../../domain/stored/mezzanine-file.ts'
import { mezzanineKey } from '../../domain/stored/store-layout.ts'
import type { DeletionGuard, GuardedWork } from '../deletion/guard.ts'
import type { Viewer } from '../load/admission.ts'
import type { WorkQueue } from '../load/work-queue.ts'
import { isMissing } from '../originals/absences.ts'
import type { Resolver } from '../originals/resolve.ts'
import type { ImageCache } from '../ports/cache.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectSource, ObjectStore, OpenObject } from '../ports/store.ts'
import { createCoalescer } from '../tools/coalesce.ts'
import type { LeftWork } from '../tools/left-work.ts'
import { entryBound } from '../tools/memoize.ts'
import { readWhole } from '../tools/small-object.ts'
import { createFirstByteBudget, openInTime, startTimeLimit, storeTooSlow } from '../tools/time-limit.ts'

/** A reduced picture of an original, upright and in sRGB, with the facts of the original. */
export interface Mezzanine {
  readonly level: MezzanineLevel
  readonly source: ObjectSource
  readonly facts: OriginalFacts
}

/** The mezzanines on this node: on its disk, or in memory while the disk is full or read-only. */
export interface MezzanineShelf {
  /**
   * Reads the disk once for an image, verifies what it finds, and remembers it.
   * @returns undefined if it is not on this node. A sweep may have deleted the file of a remembered mezzanine.
   */
  get(id: string, level: MezzanineLevel): Promise<Mezzanine | undefined>
  put(id: string, level: MezzanineLevel, sealed: Sealed): Promise<Mezzanine>
  /** Drops the entries of these images in memory. */
  forget(ids: ReadonlySet<string>): void
}

/** The file of a mezzanine, and the facts in it. */
export interface Sealed {
  readonly bytes: Buffer
  readonly facts: OriginalFacts
}

/** Puts a mezzanine on the shelf, unless its image was deleted meanwhile. @throws OriginalError `original_deleted` */
export async function keepMezzanine(shelf: MezzanineShelf, made: Made, work: GuardedWork): Promise<Mezzanine> {
  const { id, level, ...sealed } = made
  return await work.publish(
    () => shelf.put(id, level, sealed),
    () => shelf.forget(new Set([id])),
  )
}

interface Made extends Sealed {
  readonly id: string
  readonly level: MezzanineLevel
}

type Shelf = ReadonlyMap<MezzanineLevel, Mezzanine>

/** Most images have no mezzanine, so they share one object. */
const EMPTY: Shelf = new Map()
/** Limit of the mezzanines that the disk did not take, or has not taken yet. */
const MAX_LOOSE_BYTES = 16 * 1024 * 1024
const LOOSE_MS = 30_000

/** @param maxRemembered Images in memory. */
export function createMezzanineShelf(cache: ImageCache, maxRemembered: number): MezzanineShelf {
  const shelves = new LRUCache<string, Shelf>(entryBound(maxRemembered))
  const reading = new Map<string, Promise<Shelf>>()
  const loose = new LRUCache<string, ReadonlyMap<MezzanineLevel, Sealed>>({
    maxSize: MAX_LOOSE_BYTES,
    sizeCalculation: (held) => [...held.values()].reduce((sum, { bytes }) => sum + bytes.length, 1),
    ttl: LOOSE_MS,
  })

  async function shelfOf(id: string): Promise<Shelf> {
    const known = shelves.get(id) ?? (await reading.get(id))
    if (known) return known
    const began = readShelf(id)
    reading.set(id, began)
    try {
      const shelf = await began
      // It may have been forgotten meanwhile.
      if (reading.get(id) === began) shelves.set(id, shelf)
      return shelf
    } finally {
      if (reading.get(id) === began) reading.delete(id)
    }
  }

  /** The files are not synced, so a crash of the machine can leave a truncated file under the final name. */
  async function readShelf(id: string): Promise<Shelf> {
    const shelf = new Map<MezzanineLevel, Mezzanine>()
    for (const { level, path, bytes } of await cache.readMezzanines(id)) {
      const facts = openMezzanine(bytes)
      if (facts) shelf.set(level, { level, source: { path }, facts })
    }
    return shelf.size > 0 ? shelf : EMPTY
  }

  function release(id: string, level: MezzanineLevel): void {
    const held = new Map(loose.get(id))
    held.delete(level)
    if (held.size > 0) loose.set(id, held)
    else loose.delete(id)
  }

  return {
    async get(id, level) {
      const onDisk = (await shelfOf(id)).get(level)
      if (onDisk) return onDisk
      const held = loose.get(id)?.get(level)
      return held && { level, source: { bytes: held.bytes }, facts: held.facts }
    },
    async put(id, level, sealed) {
      const { bytes, facts } = sealed
      // A view that follows the upload at once is made of it, too.
      loose.set(id, new Map(loose.get(id)).set(level, sealed))
      await shelfOf(id)
      const path = await cache.publishMezzanine(id, level, bytes)
      if (path === undefined) return { level, source: { bytes }, facts }
      const mezzanine = { level, source: { path }, facts }
      const shelf = shelves.get(id)
      if (shelf) {
        shelves.set(id, new Map(shelf).set(level, mezzanine))
        release(id, level)
      }
      return mezzanine
    },
    forget(ids) {
      for (const id of ids) {
        shelves.delete(id)
        reading.delete(id)
        loose.delete(id)
      }
    },
  }
}

export interface WantedMezzanine {
  readonly id: string
  readonly level: MezzanineLevel
  /** The request that waits for it, if there is one. */
  readonly viewer?: Viewer | undefined
}

export interface MezzanineFetchOptions {
  readonly store: ObjectStore
  readonly versions: Pick<Resolver, 'locate'>
  readonly shelf: MezzanineShelf
  readonly guard: DeletionGuard
  readonly fetchQueue: WorkQueue
  /** Completes the fetches that their requests have left. */
  readonly leftFetches: LeftWork
  readonly meter: Meter
  /** Limit of the table of absences; at most 10,000. */
  readonly maxRemembered: number
  /** For one mezzanine, including its verification. */
  readonly fetchTimeoutMs: number
}

/** A mezzanine is read into memory. Larger ones, such as lossless drawings with alpha, are not kept. */
export const MAX_MEZZANINE_BYTES = 4 * 1024 * 1024
const MAX_ABSENCES = 10_000
/** Lifetime of an absence, and so the time until this node sees a mezzanine of another node. */
const ABSENCE_MS = 5_000

/**
 * Fetches and verifies mezzanines from the store, each once for all requests that wait for it.
 * @returns a function whose result is undefined if there is none, or it is damaged. It throws OriginalError if the store has no
 *   original either, and UnavailableError.
 */
export function createMezzanineFetch(options: MezzanineFetchOptions) {
  const { store, versions, shelf, guard, fetchQueue, meter, maxRemembered, fetchTimeoutMs } = options
  const flights = createCoalescer<Mezzanine | undefined>(isMissing, options.leftFetches)
  const absences = new LRUCache<string, true>({ ...entryBound(Math.min(maxRemembered, MAX_ABSENCES)), ttl: ABSENCE_MS })
  const firstByte = createFirstByteBudget(() => performance.now())

  async function fetchShared(
    { id, level, viewer }: WantedMezzanine,
    signal: AbortSignal,
  ): Promise<Mezzanine | undefined> {
    const key = mezzanineKey(id, level)
    if (absences.has(key)) return undefined
    const asked = performance.now()
    const fly = (within: AbortSignal, begun: () => void) =>
      fetchQueue.run(() => fetch({ id, level, asked, begun }, within), within, { viewer })
    const { value } = await flights.run(key, fly, signal)
    if (value) viewer?.found?.()
    return value
  }

  async function fetch({ id, level, asked, begun }: Fetch, signal: AbortSignal): Promise<Mezzanine | undefined> {
    const key = mezzanineKey(id, level)
    const work = guard.begin(id)
    const limit = startTimeLimit(signal, fetchTimeoutMs, storeTooSlow)
    const within = limit.signal
    try {
      // Both calls begin at once, so they take the time of one. Without a mezzanine the result does not matter.
      const original = versions.locate(id).sizeBytes(within)
      original.catch(() => {})
      const object = await openInTime((limited) => store.open(key, limited), firstByte.withinMs(asked), within)
      firstByte.answered()
      begun()
      const bytes = object && (await readExisting(id, { object, original }, signal))
      const facts = bytes && openMezzanine(bytes)
      if (bytes && facts) return await keepMezzanine(shelf, { id, level, bytes, facts }, work)
      if (bytes) meter.trouble(`The object store returned a damaged mezzanine of image ${id}`, undefined)
      const isUnknown = object === undefined && (await hasNone(original))
      for (const each of isUnknown ? MEZZANINE_LEVELS : [level]) absences.set(mezzanineKey(id, each), true)
      if (isUnknown) throw await versions.locate(id).absence(within)
      return undefined
    } catch (error) {
      throw limit.isOver ? storeTooSlow(error) : error
    } finally {
      limit.stop()
    }
  }

  /**
   * A mezzanine that was written during the deletion of its original must not bring the image back, so a mezzanine without
   * an original is ignored. If the deletion ends after the original was found, `work` learns of it, and discards the mezzanine.
   */
  async function readExisting(
    id: string,
    { object, original }: { readonly object: OpenObject; readonly original: Promise<number | undefined> },
    signal: AbortSignal,
  ): Promise<Buffer | undefined> {
    // Both are awaited below.
    original.catch(() => object.body.destroy())
    const bytes = await readWhole(object, MAX_MEZZANINE_BYTES).catch(async (error: unknown) => {
      // An aborted request says nothing about the mezzanine.
      signal.throwIfAborted()
      await original
      meter.trouble(`A mezzanine of image ${id} could not be read from the object store`, error)
      return undefined
    })
    return (await original) === undefined ? undefined : bytes
  }

  return fetchShared
}

/** Whether the store has no original, so that it has no mezzanine of any level. A failed call says nothing. */
async function hasNone(original: Promise<number | undefined>): Promise<boolean> {
  return await original.then(
    (sizeBytes) => sizeBytes === undefined,
    () => false,
  )
}

interface Fetch {
  readonly id: string
  readonly level: MezzanineLevel
  /** Time of the request, by `performance.now()`. */
  readonly asked: number
  /** Called when the store has begun to respond: from then on the fetch is worth completing. */
  readonly begun: () => void
}
