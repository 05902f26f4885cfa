import { LRUCache } from 'lru-cache'
import { isTransientId } from '../../domain/identity/image-id.ts'
import { type MezzanineLevel, mezzanineLevels } from '../../domain/picture/mezzanine.ts'
import type { OriginalFacts } from '../../domain/picture/original-facts.ts'
import { ChangedError, OriginalError } from '../../errors.ts'
import type { DeletionGuard, GuardedWork } from '../deletion/guard.ts'
import type { WorkQueue } from '../load/work-queue.ts'
import type { OriginalService } from '../originals/fetch.ts'
import type { Resolver } from '../originals/resolve.ts'
import type { ImageCache } from '../ports/cache.ts'
import type { ImageEngine } from '../ports/engine.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectStore } from '../ports/store.ts'
import { createBackground } from '../tools/background.ts'
import type { LeftWork } from '../tools/left-work.ts'
import { entryBound } from '../tools/memoize.ts'
import { createMezzaninePublisher, isShared, type MadeMezzanines } from './mezzanine-publisher.ts'
import { createMezzanineFetch, createMezzanineShelf, type Mezzanine, type WantedMezzanine } from './mezzanine-shelf.ts'

/** Reduced pictures of large originals: rendered once, after the upload or the first decode, and shared through the store. */
export interface MezzanineService {
  /** The levels that an original with these facts may have. Some turn out not to be worth their bytes. */
  levels(facts: OriginalFacts): readonly MezzanineLevel[]
  /** @returns undefined if it is not on this node. */
  here(id: string, level: MezzanineLevel): Promise<Mezzanine | undefined>
  /**
   * From this node or from the store, verified.
   * @returns undefined if there is none, or it is damaged: then the original is the source.
   * @throws OriginalError if the store has no original either; UnavailableError if it does not answer.
   */
  find(wanted: WantedMezzanine, signal: AbortSignal): Promise<Mezzanine | undefined>
  /**
   * Renders the missing levels in the background. After a failure, the next decode of the original tries again.
   * @returns when it has ended, successfully or not.
   */
  make(id: string): Promise<void>
  /**
   * Keeps the mezzanines that were made while the original was uploaded, in the background: on this node and for all nodes.
   * @returns as `make`.
   */
  keep(made: MadeMezzanines, work: GuardedWork): Promise<void>
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
  /** Completes the fetches that their requests have left. */
  readonly leftFetches: LeftWork
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
  const { versions, cache, engine, originals, guard, renderQueue, meter, minPixels } = options
  const unworthy = new LRUCache<string, true>(entryBound(options.maxRemembered))
  const shelf = createMezzanineShelf(cache, options.maxRemembered)
  const publish = createMezzaninePublisher({ ...options, shelf, onUnworthy: (id) => unworthy.set(id, true) })
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
    await publish({ id, facts, sizeBytes, reduced, wanted: missing }, work, signal)
  }

  /** Levels that neither this disk nor the store has. */
  async function missingLevels(id: string, facts: OriginalFacts, signal: AbortSignal): Promise<MezzanineLevel[]> {
    const missing: MezzanineLevel[] = []
    for (const level of unworthy.has(id) ? [] : levels(facts)) {
      if ((await find({ id, level }, signal)) === undefined) missing.push(level)
    }
    return missing
  }

  /** Unless it has begun already. */
  async function start(id: string, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { signal } = background
    const underWay = making.get(id)
    if (underWay || minPixels === 0 || isTransientId(id) || signal.aborted || making.size >= MAX_PENDING)
      return await underWay
    const working = work(signal)
      .catch((error: unknown) => {
        // A request for the picture reports that it was deleted or replaced, or is broken.
        if (!signal.aborted && !(error instanceof OriginalError) && !(error instanceof ChangedError)) {
          meter.trouble(`The mezzanines of image ${id} could not be rendered`, error)
        }
      })
      .finally(() => making.delete(id))
    making.set(id, working)
    background.track(working)
    await working
  }

  return {
    levels,
    here: shelf.get,
    find,
    forget: shelf.forget,
    make: (id) => start(id, (signal) => build(id, signal)),
    keep: (made, work) => start(made.id, (signal) => publish({ ...made, wanted: levels(made.facts) }, work, signal)),
    get pending() {
      return making.size
    },
    stop: background.stop,
  }
}
