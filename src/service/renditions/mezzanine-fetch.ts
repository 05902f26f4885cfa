import { LRUCache } from 'lru-cache'
import type { MezzanineLevel } from '../../domain/picture/mezzanine.ts'
import { openMezzanine } from '../../domain/stored/mezzanine-file.ts'
import { mezzanineKey } from '../../domain/stored/store-layout.ts'
import type { DeletionGuard } from '../deletion/guard.ts'
import type { Viewer } from '../load/admission.ts'
import type { WorkQueue } from '../load/work-queue.ts'
import type { Resolver } from '../originals/resolve.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectStore, OpenObject } from '../ports/store.ts'
import { createCoalescer } from '../tools/coalesce.ts'
import { readWhole } from '../tools/small-object.ts'
import { createFirstByteBudget, openInTime, startTimeLimit, storeTooSlow } from '../tools/time-limit.ts'
import { keepMezzanine, type Mezzanine, type MezzanineShelf } from './mezzanine-shelf.ts'

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
 * @returns a function whose result is undefined if there is none, or it is damaged. It throws UnavailableError.
 */
export function createMezzanineFetch(options: MezzanineFetchOptions) {
  const { store, versions, shelf, guard, fetchQueue, meter, maxRemembered, fetchTimeoutMs } = options
  const flights = createCoalescer<Mezzanine | undefined>()
  const absences = new LRUCache<string, true>({ max: Math.min(maxRemembered, MAX_ABSENCES), ttl: ABSENCE_MS })
  const firstByte = createFirstByteBudget(() => performance.now())

  async function fetchShared(
    { id, level, viewer }: WantedMezzanine,
    signal: AbortSignal,
  ): Promise<Mezzanine | undefined> {
    const key = mezzanineKey(id, level)
    if (absences.has(key)) return undefined
    const asked = performance.now()
    const fly = (within: AbortSignal) => fetchQueue.run(() => fetch({ id, level, asked }, within), within, { viewer })
    return (await flights.run(key, fly, signal)).value
  }

  async function fetch({ id, level, asked }: Fetch, signal: AbortSignal): Promise<Mezzanine | undefined> {
    const key = mezzanineKey(id, level)
    const work = guard.begin(id)
    const limit = startTimeLimit(signal, fetchTimeoutMs, storeTooSlow)
    const within = limit.signal
    try {
      const object = await openInTime((limited) => store.open(key, limited), firstByte.withinMs(asked), within)
      firstByte.answered()
      const bytes = object && (await readExisting(id, object, { signal, within }))
      const facts = bytes && openMezzanine(bytes)
      if (bytes && facts) return await keepMezzanine(shelf, { id, level, bytes, facts }, work)
      if (bytes) meter.trouble(`The object store returned a damaged mezzanine of image ${id}`, undefined)
      absences.set(key, true)
      return undefined
    } catch (error) {
      throw limit.isOver ? storeTooSlow(error) : error
    } finally {
      limit.stop()
    }
  }

  /**
   * A mezzanine that was written during the deletion of its original must not bring the image back, so a mezzanine without
   * an original is ignored.
   */
  async function readExisting(
    id: string,
    object: OpenObject,
    { signal, within }: { readonly signal: AbortSignal; readonly within: AbortSignal },
  ): Promise<Buffer | undefined> {
    const original = versions.locate(id).sizeBytes(within)
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

interface Fetch {
  readonly id: string
  readonly level: MezzanineLevel
  /** Time of the request, by `performance.now()`. */
  readonly asked: number
}
