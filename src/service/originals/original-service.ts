import type { Readable } from 'node:stream'
import { LRUCache } from 'lru-cache'
import type { ByteRange } from '../../domain/caching/http-caching.ts'
import type { OriginalFacts } from '../../domain/picture/original-facts.ts'
import { OriginalError, ServiceError, UnavailableError } from '../../errors.ts'
import type { DeletionGuard, GuardedWork } from '../deletion/guard.ts'
import type { Viewer } from '../load/admission.ts'
import type { WorkQueue } from '../load/work-queue.ts'
import type { ImageCache, Spool, Spooled } from '../ports/cache.ts'
import type { ImageEngine } from '../ports/engine.ts'
import type { Meter } from '../ports/meter.ts'
import type { OriginalHolder } from '../ports/originals.ts'
import type { ObjectSource, OpenObject } from '../ports/store.ts'
import { createCoalescer } from '../tools/coalesce.ts'
import { startTimeLimit } from '../tools/time-limit.ts'
import { createFirstByteBudget, openInTime } from './open-in-time.ts'
import { createRememberedFailures } from './remembered-failures.ts'

/** An original that can be decoded now. */
export interface ReadyOriginal {
  readonly source: ObjectSource
  readonly facts: OriginalFacts
}

/** An original, and the request that waits for it, if one does. */
export interface WantedOriginal {
  readonly id: string
  readonly viewer?: Viewer | undefined
}

/** Brings originals onto this node, each once however many ask, checked against their ids. */
export interface OriginalService {
  /**
   * What memory knows of an original.
   * @throws OriginalError what was found out about it a moment ago: that it isn't there, or is no image.
   */
  remembered(id: string): OriginalFacts | undefined
  /** Whether it is on this node, and the store need not be asked. */
  isHere(id: string): Promise<boolean>
  /** @throws OriginalError, UnavailableError */
  ready(wanted: WantedOriginal, signal: AbortSignal): Promise<ReadyOriginal>
  /**
   * The bytes as uploaded, checked against the id but never decoded: the limits and formats of today do not matter. To be
   * read at the client's own pace: from this node's disk, as the store's connections have deadlines.
   * @throws OriginalError `original_not_found`, `original_deleted`; UnavailableError
   */
  open(wanted: WantedBytes, signal: AbortSignal): Promise<Readable | Buffer>
  /** Takes in facts that are known already, and forgets a remembered absence. */
  learn(id: string, facts: OriginalFacts): void
  /** Drops what memory holds of these images. */
  forget(ids: ReadonlySet<string>): void
}

export interface WantedBytes {
  readonly id: string
  /** Of the whole original, as its record says. */
  readonly sizeBytes: number
  /** Absent: all of it. */
  readonly range?: ByteRange | undefined
}

export interface OriginalServiceOptions {
  readonly holderOf: (id: string) => OriginalHolder
  readonly cache: ImageCache
  readonly spool: Spool
  readonly engine: ImageEngine
  readonly guard: DeletionGuard
  readonly fetchQueue: WorkQueue
  readonly meter: Meter
  readonly maxOriginalBytes: number
  /** For one original, both attempts together. */
  readonly fetchTimeoutMs: number
  /** Milliseconds. */
  readonly now: () => number
  /** Entries of each table in memory at most. */
  readonly maxRemembered: number
  /** Bytes of originals that may be held in memory while the disk takes none. */
  readonly maxLooseBytes: number
}

/**
 * How long an absence is remembered, so that a page of broken links does not become a load on the store; and how long an
 * upload by another node goes unnoticed here.
 */
const ABSENCE_MS = 1_000
/** How long an original stays in memory that the disk did not take; then the disk is tried again. */
const LOOSE_MS = 30_000

export function createOriginalService(options: OriginalServiceOptions): OriginalService {
  const { holderOf, cache, spool, engine, guard, fetchQueue, meter, maxOriginalBytes, fetchTimeoutMs } = options
  const { now, maxRemembered } = options
  const flights = createCoalescer<ReadyOriginal>()
  const byteFlights = createCoalescer<ObjectSource>()
  const firstByte = createFirstByteBudget(() => performance.now())
  const facts = new LRUCache<string, OriginalFacts>({ max: maxRemembered })
  const absences = createRememberedFailures({ maxRemembered, now })
  const loose = new LRUCache<string, Spooled>({
    maxSize: options.maxLooseBytes,
    sizeCalculation: ({ sizeBytes }) => Math.max(1, sizeBytes),
    ttl: LOOSE_MS,
    ttlAutopurge: true,
    dispose: (spooled) => void spooled.discard(),
  })

  async function bring({ id, viewer }: WantedOriginal, signal: AbortSignal): Promise<ReadyOriginal> {
    const local = await localSource(id)
    const known = local && (await inspectLocal(id, local))
    if (known) return { source: local, facts: known }
    const asked = performance.now()
    const wanted = { id, asked, maxBytes: maxOriginalBytes }
    const source = await fetchQueue.run(() => fetch(wanted, signal), signal, { viewer })
    try {
      return { source, facts: await inspect(id, source) }
    } catch (error) {
      // The store gave the very bytes, so they are what is wrong: who asks next need not fetch them again.
      if (error instanceof OriginalError) absences.set(id, error, ABSENCE_MS)
      throw error
    }
  }

  async function inspect(id: string, source: ObjectSource): Promise<OriginalFacts> {
    const known = facts.get(id) ?? (await engine.inspect(source))
    facts.set(id, known)
    return known
  }

  /** A file that is no image, or has just gone, is this disk's fault: only what was checked against its id is believed. */
  async function inspectLocal(id: string, source: ObjectSource): Promise<OriginalFacts | undefined> {
    try {
      return await inspect(id, source)
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error
      await cache.hide([id])
      loose.delete(id)
      return undefined
    }
  }

  async function localSource(id: string): Promise<ObjectSource | undefined> {
    const path = await cache.findOriginal(id)
    return path === undefined ? (loose.get(id)?.source ?? holderOf(id).held?.(id)) : { path }
  }

  async function fetch({ id, asked, maxBytes }: Fetch, signal: AbortSignal): Promise<ObjectSource> {
    const began = performance.now()
    const work = guard.begin(id)
    const limit = startTimeLimit(signal, fetchTimeoutMs, tooSlow)
    try {
      const wanted = { id, maxBytes, withinMs: firstByte.withinMs(asked) }
      const kept = await keep(id, await fetchChecked(wanted, limit.signal), work)
      if (kept) return kept
      // The disk took the bytes, but not their move into the cache.
      const held = await keep(id, await fetchOnce(wanted, 'toMemory', limit.signal), work)
      if (held) return held
      throw new UnavailableError('disk_unavailable', 'The original could not be written to the local disk')
    } catch (error) {
      throw limit.isOver && !(error instanceof ServiceError) ? tooSlow(error) : error
    } finally {
      limit.stop()
      meter.fetched((performance.now() - began) / 1000)
    }
  }

  /** A body that is cut, stalls or is wrong may be right the next time: one more attempt, unless that happens all the time. */
  async function fetchChecked(wanted: Attempt, signal: AbortSignal): Promise<Spooled> {
    try {
      return await fetchOnce(wanted, 'toDisk', signal)
    } catch (error) {
      if (signal.aborted || !(error instanceof UnavailableError)) throw error
      if (error.code === 'disk_unavailable') return await fetchOnce(wanted, 'toMemory', signal)
      if (!(error instanceof BodyError) || !holderOf(wanted.id).mayRetry(wanted.id)) throw error
      return await fetchOnce(wanted, 'toDisk', signal)
    }
  }

  async function fetchOnce(wanted: Attempt, way: 'toDisk' | 'toMemory', signal: AbortSignal): Promise<Spooled> {
    const { id, maxBytes } = wanted
    const { body } = await openOriginal(wanted, signal)
    const spooled = await spool[way](body, maxBytes, signal).catch((error: unknown) => {
      if (error instanceof UnavailableError && error.code === 'store_unavailable') {
        throw new BodyError(error.code, error.message, { cause: error })
      }
      throw error
    })
    if (holderOf(id).isGenuine(id, spooled)) return spooled
    await spooled.discard()
    meter.trouble(`The object store returned a damaged original of image ${id}`, undefined)
    throw new BodyError('store_unavailable', 'The object store returned a damaged original')
  }

  async function openOriginal({ id, withinMs }: Attempt, signal: AbortSignal): Promise<OpenObject> {
    try {
      const opened = await openInTime((within) => holderOf(id).open(id, within), withinMs, signal)
      firstByte.answered()
      return opened
    } catch (error) {
      if (error instanceof OriginalError) absences.set(id, error, ABSENCE_MS)
      throw error
    }
  }

  /** @returns undefined if the disk did not let the file be moved in. */
  async function keep(id: string, spooled: Spooled, work: GuardedWork): Promise<ObjectSource | undefined> {
    const { source } = spooled
    const adopt = () => ('path' in source ? cache.adoptOriginal(id, source.path) : undefined)
    const path = await work.publish(adopt, spooled.discard)
    if (path !== undefined) return { path }
    if ('bytes' in source) {
      work.remember(() => loose.set(id, spooled))
      // Too large to be kept for the next viewer.
      if (!loose.has(id)) await spooled.discard()
      return source
    }
    await spooled.discard()
    return undefined
  }

  function remembered(id: string): OriginalFacts | undefined {
    const absence = absences.get(id)
    if (absence) throw absence
    return facts.get(id)
  }

  async function ready(wanted: WantedOriginal, signal: AbortSignal): Promise<ReadyOriginal> {
    remembered(wanted.id)
    return (await flights.run(wanted.id, (flightSignal) => bring(wanted, flightSignal), signal)).value
  }

  async function open(wanted: WantedBytes, signal: AbortSignal): Promise<Readable | Buffer> {
    const { id, sizeBytes, range } = wanted
    const held = loose.get(id)?.source
    const local = held && 'bytes' in held ? held.bytes : await cache.openOriginal(id, sizeBytes, range)
    if (local) return partOf(local, range)
    const asked = performance.now()
    const maxBytes = Math.max(sizeBytes, maxOriginalBytes)
    const bringBytes = (flight: AbortSignal) => fetchQueue.run(() => fetch({ id, asked, maxBytes }, flight), flight)
    const { value: source } = await byteFlights.run(id, bringBytes, signal)
    const fetched = 'bytes' in source ? source.bytes : await cache.openOriginal(id, sizeBytes, range)
    if (fetched) return partOf(fetched, range)
    throw new UnavailableError('disk_unavailable', 'The local copy of the original was evicted; try again')
  }

  return {
    remembered,
    isHere: async (id) => (await localSource(id)) !== undefined,
    ready,
    open,
    learn(id, known) {
      facts.set(id, known)
      absences.delete(id)
    },
    forget(ids) {
      for (const id of ids) {
        facts.delete(id)
        absences.delete(id)
        loose.delete(id)
      }
    },
  }
}

/** @returns bytes in memory cut to the range; a stream begins and ends with it already. */
function partOf(body: Readable | Buffer, range: ByteRange | undefined): Readable | Buffer {
  return range && Buffer.isBuffer(body) ? body.subarray(range.start, range.end + 1) : body
}

interface Fetch {
  readonly id: string
  /** When the original was asked for, by `performance.now()`. */
  readonly asked: number
  readonly maxBytes: number
}

function tooSlow(cause?: unknown): UnavailableError {
  return new UnavailableError('store_unavailable', 'The object store did not respond in time', { cause })
}

interface Attempt {
  readonly id: string
  readonly maxBytes: number
  /** For the store to begin its answer. */
  readonly withinMs: number
}

/** The body was cut, stalled or wrong, after the store had begun to answer. */
class BodyError extends UnavailableError {}
