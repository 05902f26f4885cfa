import type { Readable } from 'node:stream'
import { LRUCache } from 'lru-cache'
import type { OriginalFacts } from '../../domain/picture/original-facts.ts'
import { OriginalError, ServiceError, UnavailableError } from '../../errors.ts'
import type { DeletionGuard } from '../deletion/guard.ts'
import type { Viewer } from '../load/admission.ts'
import type { WorkQueue } from '../load/work-queue.ts'
import type { ImageCache, Spool } from '../ports/cache.ts'
import type { ImageEngine } from '../ports/engine.ts'
import type { Meter } from '../ports/meter.ts'
import type { OriginalHolder } from '../ports/originals.ts'
import type { ObjectSource } from '../ports/store.ts'
import { createCoalescer } from '../tools/coalesce.ts'
import { createLocalOriginals, partOf, type WantedBytes } from './local-originals.ts'
import { createOriginalFetch } from './original-fetch.ts'
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
export function createOriginalService(options: OriginalServiceOptions): OriginalService {
  const { engine, fetchQueue, maxOriginalBytes, now, maxRemembered } = options
  const flights = createCoalescer<ReadyOriginal>()
  const byteFlights = createCoalescer<ObjectSource>()
  const facts = new LRUCache<string, OriginalFacts>({ max: maxRemembered })
  const absences = createRememberedFailures({ maxRemembered, now })
  const onAbsence = (id: string, error: OriginalError) => absences.set(id, error, ABSENCE_MS)
  const local = createLocalOriginals(options)
  const fetch = createOriginalFetch({ ...options, local, onAbsence })

  async function bring({ id, viewer }: WantedOriginal, signal: AbortSignal): Promise<ReadyOriginal> {
    const here = await local.find(id)
    const known = here && (await inspectLocal(id, here))
    if (known) return { source: here, facts: known }
    const asked = performance.now()
    const wanted = { id, asked, maxBytes: maxOriginalBytes }
    const source = await fetchQueue.run(() => fetch(wanted, signal), signal, { viewer })
    try {
      return { source, facts: await inspect(id, source) }
    } catch (error) {
      // The store gave the very bytes, so they are what is wrong: who asks next need not fetch them again.
      if (error instanceof OriginalError) onAbsence(id, error)
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
      await local.drop(id)
      return undefined
    }
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
    const here = await local.open(wanted)
    if (here) return here
    const asked = performance.now()
    const maxBytes = Math.max(sizeBytes, maxOriginalBytes)
    const bringBytes = (flight: AbortSignal) => fetchQueue.run(() => fetch({ id, asked, maxBytes }, flight), flight)
    const { value: source } = await byteFlights.run(id, bringBytes, signal)
    const fetched = 'bytes' in source ? partOf(source.bytes, range) : await local.open(wanted)
    if (fetched) return fetched
    throw new UnavailableError('disk_unavailable', 'The local copy of the original was evicted; try again')
  }

  return {
    remembered,
    isHere: async (id) => (await local.find(id)) !== undefined,
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
      }
      local.forget(ids)
    },
  }
}
