import type { Readable } from 'node:stream'
import { LRUCache } from 'lru-cache'
import type { OriginalFacts } from '../../domain/picture/original-facts.ts'
import { OriginalError, ServiceError, UnavailableError } from '../../errors.ts'
import type { DeletionGuard } from '../deletion/guard.ts'
import type { Viewer } from '../load/admission.ts'
import type { WorkQueue } from '../load/work-queue.ts'
import type { ImageCache, Spool, Spooled } from '../ports/cache.ts'
import type { ImageEngine } from '../ports/engine.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectSource, OpenObject } from '../ports/store.ts'
import { createCoalescer } from '../tools/coalesce.ts'
import type { LeftWork } from '../tools/left-work.ts'
import { entryBound } from '../tools/memoize.ts'
import { createFirstByteBudget, openInTime, startTimeLimit, storeTooSlow } from '../tools/time-limit.ts'
import { createAbsences, isMissing } from './absences.ts'
import { createLocalOriginals, type LocalOriginals, partOf, type WantedBytes } from './local.ts'
import type { Resolver } from './resolve.ts'

/** An original that can be decoded now. */
export interface ReadyOriginal {
  readonly source: ObjectSource
  readonly facts: OriginalFacts
}

/** An original, and the request that waits for it, if there is one. */
export interface WantedOriginal {
  readonly id: string
  readonly viewer?: Viewer | undefined
}

/** Fetches originals to this node, verified and coalesced. */
export interface OriginalService {
  /** @throws OriginalError that was found a moment ago: the original does not exist, or is no image. */
  assertNotAbsent(id: string): void
  /** Facts in memory. @throws as `assertNotAbsent` */
  remembered(id: string): OriginalFacts | undefined
  /** Whether memory has its facts. */
  isInMemory(id: string): boolean
  /** Whether memory or the disk of this node has anything of it. */
  knows(id: string): Promise<boolean>
  /** Whether it is on this node, so that it needs no fetch. */
  isHere(id: string): Promise<boolean>
  /** @throws OriginalError, UnavailableError */
  ready(wanted: WantedOriginal, signal: AbortSignal): Promise<ReadyOriginal>
  /**
   * The bytes as uploaded, verified against the id but not decoded: the present limits and formats do not matter. They come
   * from the disk of this node, because the client may read slowly and the store's connections have deadlines.
   * @throws OriginalError `original_not_found`, `original_deleted`; UnavailableError
   */
  open(wanted: WantedBytes, signal: AbortSignal): Promise<Readable | Buffer>
  /** Adds facts that are known already, and forgets a remembered absence. */
  learn(id: string, facts: OriginalFacts): void
  /** Drops what memory holds of these images. */
  forget(ids: ReadonlySet<string>): void
}

export interface OriginalServiceOptions {
  readonly versions: Pick<Resolver, 'locate'>
  readonly cache: ImageCache
  readonly spool: Spool
  readonly engine: ImageEngine
  readonly guard: DeletionGuard
  readonly fetchQueue: WorkQueue
  /** Completes the fetches that their requests have left. */
  readonly leftFetches: LeftWork
  readonly meter: Meter
  readonly maxOriginalBytes: number
  /** For one original, all attempts together. */
  readonly fetchTimeoutMs: number
  /** Milliseconds. */
  readonly now: () => number
  /** Maximum number of entries of each table in memory. */
  readonly maxRemembered: number
  /** Maximum bytes of originals in memory while the disk cannot be written to. */
  readonly maxLooseBytes: number
}

export function createOriginalService(options: OriginalServiceOptions): OriginalService {
  const { cache, engine, fetchQueue, maxOriginalBytes, now, maxRemembered } = options
  const flights = createCoalescer<ReadyOriginal>(isMissing, options.leftFetches)
  const byteFlights = createCoalescer<Fetched>(undefined, options.leftFetches)
  const facts = new LRUCache<string, OriginalFacts>(entryBound(maxRemembered))
  const absences = createAbsences({ maxRemembered, now })
  const local = createLocalOriginals(options)
  const fetch = createFetch({ ...options, local, onAbsence: absences.add })

  async function bring({ id, viewer }: WantedOriginal, signal: AbortSignal, begun: () => void): Promise<ReadyOriginal> {
    const here = await local.find(id)
    const known = here && (await inspectLocal(id, here))
    if (known) return { source: here, facts: known }
    await absences.untilMayAsk(id, signal)
    const wanted = { id, asked: performance.now(), maxBytes: maxOriginalBytes, begun }
    const { source, head } = await fetchQueue.run(() => fetch(wanted, signal), signal, { viewer })
    viewer?.found?.()
    try {
      return { source, facts: await inspect(id, source, head) }
    } catch (error) {
      // The bytes are verified, so the original itself is no image: the next request need not fetch it again.
      if (error instanceof OriginalError) absences.add(id, error)
      throw error
    }
  }

  async function inspect(id: string, source: ObjectSource, head?: Buffer): Promise<OriginalFacts> {
    const known = facts.get(id) ?? (await engine.inspect(source, head))
    facts.set(id, known)
    return known
  }

  /** A local file that is no image, or has disappeared, is the fault of this disk: the original is fetched and verified again. */
  async function inspectLocal(id: string, source: ObjectSource): Promise<OriginalFacts | undefined> {
    try {
      return await inspect(id, source)
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error
      await local.drop(id)
      return undefined
    }
  }

  return {
    assertNotAbsent: absences.assertNone,
    remembered(id) {
      absences.assertNone(id)
      return facts.get(id)
    },
    isInMemory: (id) => facts.has(id),
    knows: async (id) => facts.has(id) || (await cache.has(id)),
    isHere: async (id) => (await local.find(id)) !== undefined,
    async ready(wanted, signal) {
      absences.assertNone(wanted.id)
      return (await flights.run(wanted.id, (within, begun) => bring(wanted, within, begun), signal)).value
    },
    async open(wanted, signal) {
      const { id, sizeBytes, range } = wanted
      const here = await local.open(wanted)
      if (here) return here
      const fetched = { id, asked: performance.now(), maxBytes: Math.max(sizeBytes, maxOriginalBytes) }
      const fly = (within: AbortSignal, begun: () => void) =>
        fetchQueue.run(() => fetch({ ...fetched, begun }, within), within)
      const { value } = await byteFlights.run(id, fly, signal)
      const { source } = value
      const body = 'bytes' in source ? partOf(source.bytes, range) : await local.open(wanted)
      if (body) return body
      throw new UnavailableError('disk_unavailable', 'The local copy of the original was evicted; try again')
    },
    learn(id, known) {
      facts.set(id, known)
      absences.delete(id)
    },
    forget(ids) {
      for (const id of ids) {
        facts.delete(id)
        absences.delete(id)
      }
      local.forget(ids)
    },
  }
}

interface FetchOptions extends OriginalServiceOptions {
  readonly local: LocalOriginals
  /** The source has no such original, or forbids to read it. */
  readonly onAbsence: (id: string, error: OriginalError) => void
}

interface WantedFetch {
  readonly id: string
  /** Time of the request, by `performance.now()`. */
  readonly asked: number
  readonly maxBytes: number
  /** Called when the store has begun to respond: from then on the fetch is worth completing. */
  readonly begun: () => void
}

interface Fetched {
  readonly source: ObjectSource
  /** As in `Spooled`. */
  readonly head: Buffer
}

interface Attempt extends Omit<WantedFetch, 'asked'> {
  /** For the store to begin its response. */
  readonly withinMs: number
}

/**
 * Fetches an original to this node and verifies it.
 * @returns a function that throws OriginalError, UnavailableError.
 */
function createFetch(options: FetchOptions) {
  const { versions, local, spool, guard, meter, fetchTimeoutMs, onAbsence } = options
  const firstByte = createFirstByteBudget(() => performance.now())

  async function fetch({ asked, ...rest }: WantedFetch, signal: AbortSignal): Promise<Fetched> {
    const { id } = rest
    const began = performance.now()
    const work = guard.begin(id)
    const limit = startTimeLimit(signal, fetchTimeoutMs, storeTooSlow)
    try {
      const wanted = { ...rest, withinMs: firstByte.withinMs(asked) }
      const spooled = await fetchVerified(wanted, limit.signal)
      const { head } = spooled
      const kept = await local.keep(id, spooled, work)
      if (kept) return { source: kept, head }
      // The disk took the bytes, but not their move into the cache.
      const held = await local.keep(id, await fetchOnce(wanted, 'toMemory', limit.signal), work)
      if (held) return { source: held, head }
      throw new TypeError('Bytes in memory are always kept')
    } catch (error) {
      throw limit.isOver && !(error instanceof ServiceError) ? storeTooSlow(error) : error
    } finally {
      limit.stop()
      meter.fetched((performance.now() - began) / 1000)
    }
  }

  /** A truncated, stalled or corrupt body is fetched once more, if the retry budget of its server allows it. */
  async function fetchVerified(wanted: Attempt, signal: AbortSignal): Promise<Spooled> {
    try {
      return await fetchOnce(wanted, 'toDisk', signal)
    } catch (error) {
      if (signal.aborted || !(error instanceof UnavailableError)) throw error
      if (error.code === 'disk_unavailable') return await fetchOnce(wanted, 'toMemory', signal)
      if (!(error instanceof BodyError) || !error.takeRetry()) throw error
      return await fetchOnce(wanted, 'toDisk', signal)
    }
  }

  async function fetchOnce(wanted: Attempt, way: 'toDisk' | 'toMemory', signal: AbortSignal): Promise<Spooled> {
    const { id, maxBytes } = wanted
    const hashes = versions.locate(id).hashes()
    const opened = await openOriginal(wanted, signal)
    const spooled = await spool[way](opened.body, { maxBytes, hashes }, signal).catch((error: unknown) => {
      if (error instanceof UnavailableError && error.code === 'store_unavailable') {
        throw new BodyError(error.message, opened, { cause: error })
      }
      throw error
    })
    if (versions.locate(id).isGenuine(spooled)) return spooled
    await spooled.discard()
    meter.trouble(`The object store returned a damaged original of image ${id}`, undefined)
    throw new BodyError('The object store returned a damaged original', opened)
  }

  async function openOriginal({ id, withinMs, begun }: Attempt, signal: AbortSignal): Promise<OpenObject> {
    try {
      const opened = await openInTime((within) => versions.locate(id).open(within), withinMs, signal)
      firstByte.answered()
      begun()
      return opened
    } catch (error) {
      if (error instanceof OriginalError) onAbsence(id, error)
      throw error
    }
  }

  return fetch
}

/** The body was truncated, stalled or corrupt, after the store had begun to respond. */
class BodyError extends UnavailableError {
  /** The method of the object that was read. */
  readonly takeRetry: () => boolean
  constructor(message: string, { takeRetry = () => true }: OpenObject, options?: ErrorOptions) {
    super('store_unavailable', message, options)
    this.takeRetry = takeRetry
  }
}
