import { LRUCache } from 'lru-cache'
import { isTransientId, isVersionId } from '../../domain/identity/image-id.ts'
import { type MezzanineLevel, mezzanineFormat, mezzanineLevels, worthKeeping } from '../../domain/picture/mezzanine.ts'
import type { OriginalFacts } from '../../domain/picture/original-facts.ts'
import { contentTypeOf } from '../../domain/spec/image-format.ts'
import { sealMezzanine } from '../../domain/stored/mezzanine-file.ts'
import { mezzanineKey } from '../../domain/stored/store-layout.ts'
import { ChangedError, OriginalError } from '../../errors.ts'
import type { DeletionGuard } from '../deletion/guard.ts'
import type { WorkQueue } from '../load/work-queue.ts'
import type { OriginalService } from '../originals/fetch.ts'
import type { Resolver } from '../originals/resolve.ts'
import type { ImageCache } from '../ports/cache.ts'
import type { ImageEngine } from '../ports/engine.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectStore } from '../ports/store.ts'
import { createBackground } from '../tools/background.ts'
import { entryBound } from '../tools/memoize.ts'
import { createSharing } from '../tools/small-object.ts'
import {
  createMezzanineFetch,
  createMezzanineShelf,
  keepMezzanine,
  MAX_MEZZANINE_BYTES,
  type Mezzanine,
  type WantedMezzanine,
} from './mezzanine-shelf.ts'

/** Reduced pictures of large originals: rendered once, after the upload or the first decode, and shared through the store. */
export interface MezzanineService {
  /** The levels that an original with these facts may have. Some turn out not to be worth their bytes. */
  levels(facts: OriginalFacts): readonly MezzanineLevel[]
  /** @returns undefined if it is not on this node. */
  here(id: string, level: MezzanineLevel): Promise<Mezzanine | undefined>
  /**
   * From this node or from the store, verified.
   * @returns undefined if there is none, or it is damaged: then the original is the source.
   * @throws UnavailableError if the store does not answer.
   */
  find(wanted: WantedMezzanine, signal: AbortSignal): Promise<Mezzanine | undefined>
  /**
   * Renders the missing levels in the background. After a failure, the next decode of the original tries again.
   * @returns when it has ended, successfully or not.
   */
  make(id: string): Promise<void>
  /** Drops the entries of these images in memory. */
  forget(ids: ReadonlySet<string>): void
  /** Originals whose mezzanines are being rendered or wait for it. */
  readonly pending: number
  /** Cancels waiting work, and resolves when no work is in progress. */
  stop(): Promise<void>
}

export interface MezzanineServiceOptions {
  readonly store: ObjectStore
  readonly versions: Pick<Resolver, 'locate'>
  readonly cache: ImageCache
  readonly engine: ImageEngine
  readonly originals: OriginalService
  readonly guard: DeletionGuard
  readonly fetchQueue: WorkQueue
  readonly renderQueue: WorkQueue
  readonly meter: Meter
  /** Limit of each table in memory; 10,000 for the table of absences. */
  readonly maxRemembered: number
  /** Least number of pixels of an original with mezzanines; 0: no original has any. */
  readonly minPixels: number
  /** For one mezzanine, including its verification. */
  readonly fetchTimeoutMs: number
}

/** Originals beyond this number wait for their next decode. */
const MAX_PENDING = 10_000

export function createMezzanineService(options: MezzanineServiceOptions): MezzanineService {
  const { store, versions, cache, engine, originals, guard, renderQueue, meter, minPixels } = options
  const unworthy = new LRUCache<string, true>(entryBound(options.maxRemembered))
  const shelf = createMezzanineShelf(cache, options.maxRemembered)
  const sharing = createSharing({
    store,
    meter,
    trouble: 'A mezzanine could not be written to the object store: other nodes will render their own',
  })
  const making = new Map<string, Promise<void>>()
  const background = createBackground()
  const fetch = createMezzanineFetch({ ...options, shelf })

  async function find(wanted: WantedMezzanine, signal: AbortSignal): Promise<Mezzanine | undefined> {
    const here = await shelf.get(wanted.id, wanted.level)
    if (here || minPixels === 0 || !isShared(wanted.id)) return here
    return await fetch(wanted, signal)
  }

  function levels(facts: OriginalFacts): readonly MezzanineLevel[] {
    return mezzanineLevels(facts, minPixels)
  }

  async function build(id: string, signal: AbortSignal): Promise<void> {
    const work = guard.begin(id)
    const { source, facts } = await originals.ready({ id }, signal)
    const missing = await missingLevels(id, facts, signal)
    const sizeBytes = missing.length > 0 ? await versions.locate(id).sizeBytes(signal) : undefined
    if (sizeBytes === undefined) return
    const reduce = () => engine.reduce(source, facts, missing)
    const reduced = await renderQueue.run(reduce, signal, { priority: 'background' })
    const worth = worthKeeping(facts, Math.min(sizeBytes, MAX_MEZZANINE_BYTES), reduced)
    if (worth.length < missing.length) unworthy.set(id, true)
    try {
      for (const { level, bytes: picture } of worth) {
        const bytes = sealMezzanine(picture, facts)
        await keepMezzanine(shelf, { id, level, bytes, facts }, work)
        const contentType = contentTypeOf(mezzanineFormat(facts))
        if (isShared(id)) await sharing.share({ key: mezzanineKey(id, level), bytes, contentType }, background.signal)
      }
    } finally {
      // A deletion that ended during the writes has removed the original, but not these mezzanines.
      const isGone = isShared(id) && (await versions.locate(id).sizeBytes(signal)) === undefined
      for (const { level } of isGone ? worth : []) await store.remove(mezzanineKey(id, level), signal)
    }
  }

  /** Levels that neither this disk nor the store has. */
  async function missingLevels(id: string, facts: OriginalFacts, signal: AbortSignal): Promise<MezzanineLevel[]> {
    const missing: MezzanineLevel[] = []
    for (const level of unworthy.has(id) ? [] : levels(facts)) {
      if ((await find({ id, level }, signal)) === undefined) missing.push(level)
    }
    return missing
  }

  return {
    levels,
    here: shelf.get,
    find,
    forget: shelf.forget,
    async make(id) {
      const { signal } = background
      const underWay = making.get(id)
      if (underWay || minPixels === 0 || isTransientId(id) || signal.aborted || making.size >= MAX_PENDING)
        return await underWay
      const building = build(id, signal)
        .catch((error: unknown) => {
          // A request for the picture reports that it was deleted or replaced, or is broken.
          if (!signal.aborted && !(error instanceof OriginalError) && !(error instanceof ChangedError)) {
            meter.trouble(`The mezzanines of image ${id} could not be rendered`, error)
          }
        })
        .finally(() => making.delete(id))
      making.set(id, building)
      background.track(building)
      await building
    },
    get pending() {
      return making.size
    },
    stop: background.stop,
  }
}

/** Mezzanines of a version stay on their node: nothing would remove them from the store after the version changed. */
function isShared(id: string): boolean {
  return !isVersionId(id)
}
