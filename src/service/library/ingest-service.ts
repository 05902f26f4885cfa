import type { Readable } from 'node:stream'
import { imageIdFromSha256 } from '../../domain/identity/image-id.ts'
import { isoTime, recordVersion, storedEvent } from '../../domain/info/image-event.ts'
import { formatRecord, type ImageRecord, type UploadDetails, uploadDetails } from '../../domain/info/image-record.ts'
import { reducingCost } from '../../domain/picture/mezzanine.ts'
import { displayedSize, type OriginalFacts } from '../../domain/picture/original-facts.ts'
import { decodingCost } from '../../domain/picture/transform-plan.ts'
import { contentTypeOf } from '../../domain/spec/image-format.ts'
import {
  type DeletionMark,
  deletedKey,
  isUnderWay,
  markVersion,
  originalKey,
  parseDeletionMark,
  recordKey,
} from '../../domain/stored/store-layout.ts'
import { OriginalError, UnavailableError } from '../../errors.ts'
import type { DeletionGuard, GuardedWork } from '../deletion/guard.ts'
import type { WorkQueue } from '../load/work-queue.ts'
import type { OriginalService } from '../originals/fetch.ts'
import type { ImageCache, Spool, Spooled } from '../ports/cache.ts'
import type { ImageEngine, Verified } from '../ports/engine.ts'
import type { ObjectStore } from '../ports/store.ts'
import type { MadeMezzanines } from '../renditions/mezzanine-publisher.ts'
import type { MezzanineService } from '../renditions/mezzanines.ts'
import { putBytes, readText } from '../tools/small-object.ts'
import type { InfoService } from './info-service.ts'
import { createLabelIndex } from './label-index.ts'
import type { Outbox } from './outbox.ts'
import { readRecord } from './stored-record.ts'

export interface IngestService {
  /**
   * Ingests an original: verifies it and stores the bytes, their record and the event, all durable when it returns. Repeating it
   * with the same bytes has no effect: an image keeps the details of its first upload.
   *
   * @throws OriginalError `invalid_upload` for an empty body, `original_too_large`, `original_unsupported`,
   *   `original_broken`; UnavailableError
   */
  ingest(body: Readable, details: UploadDetails, signal: AbortSignal): Promise<Ingested>
}

export interface IngestServiceOptions {
  readonly store: ObjectStore
  readonly spool: Pick<Spool, 'toDisk'>
  readonly cache: Pick<ImageCache, 'adoptOriginal'>
  readonly engine: Pick<ImageEngine, 'inspect' | 'verify'>
  readonly originals: Pick<OriginalService, 'learn'>
  /** Absent: mezzanines and info are left to the first request. */
  readonly derived?: {
    readonly mezzanines: Pick<MezzanineService, 'levels' | 'make' | 'keep'>
    readonly infos: Pick<InfoService, 'make' | 'keep'>
  }
  readonly guard: DeletionGuard
  readonly outbox: Pick<Outbox, 'has' | 'report'>
  readonly renderQueue: Pick<WorkQueue, 'refusal' | 'enter' | 'run' | 'holdBackground'>
  readonly maxUploadBytes: number
  readonly now: () => number
}

export function createIngestService(options: IngestServiceOptions): IngestService {
  const { store, spool, cache, engine, originals, derived, guard, outbox, renderQueue, maxUploadBytes, now } = options

  // The id is the SHA-256. An MD5 takes more CPU time, so it is made only for a store that compares it.
  const hashes = store.checksMd5 ? (['sha256', 'md5'] as const) : (['sha256'] as const)
  const uploads = createUploadStore(store, now)
  const labels = createLabelIndex(store)

  /** Uploads have precedence over background work for earlier uploads. */
  async function ingestSpooled(spooled: Spooled, details: UploadDetails, signal: AbortSignal): Promise<Ingested> {
    const release = renderQueue.holdBackground()
    try {
      return await takeIn(spooled, details, signal)
    } finally {
      release()
    }
  }

  async function takeIn(spooled: Spooled, details: UploadDetails, signal: AbortSignal): Promise<Ingested> {
    if (spooled.sizeBytes === 0) throw new OriginalError('invalid_upload', 'The file is empty: send an image')
    const id = imageIdFromSha256(spooled.sha256)
    const work = guard.begin(id)
    const existing = await uploads.find(id, spooled, signal)
    if (existing) {
      await report(existing, signal)
      return { record: existing, created: false }
    }
    const facts = await engine.inspect(spooled.source, spooled.head)
    const verified = await verify(spooled, facts, signal)
    const written = await uploads.write(
      { ...newRecord(id, spooled, facts, now()), ...uploadDetails(details) },
      spooled,
      signal,
    )
    await report(written.record, signal)
    originals.learn(id, facts)
    const { source } = spooled
    // So that the first view needs no fetch.
    const isHere = await work.tryPublish(() => 'path' in source && cache.adoptOriginal(id, source.path))
    if (isHere) keepDerived({ id, facts, sizeBytes: spooled.sizeBytes }, verified, work)
    return written
  }

  /** So that the image is found by its labels, and by the consumers of its event. Both may be repeated. */
  async function report(record: ImageRecord, signal: AbortSignal): Promise<void> {
    const event = storedEvent(record)
    if (outbox.has(event)) return
    await labels.add(record, signal)
    await outbox.report(event, signal)
  }

  /** The upload does not wait for mezzanines and info. */
  function keepDerived(of: Omit<MadeMezzanines, 'reduced'>, { reduced, info }: Verified, work: GuardedWork): void {
    if (derived === undefined) return
    const { mezzanines, infos } = derived
    const { id } = of
    const made = reduced ? mezzanines.keep({ ...of, reduced }, work) : mezzanines.make(id)
    if (info) infos.keep(id, info, work)
    else void made.then(() => infos.make(id))
  }

  async function verify({ source }: Spooled, facts: OriginalFacts, signal: AbortSignal): Promise<Verified> {
    const levels = derived?.mezzanines.levels(facts)
    const place = renderQueue.enter('upload', {
      costMs: decodingCost(facts, facts.frames) + reducingCost(facts, levels ?? []),
    })
    try {
      return await renderQueue.run(() => engine.verify(source, facts, levels), signal, { priority: 'upload', place })
    } finally {
      place.leave()
    }
  }

  /** So that a client does not send megabytes in vain. */
  function assertRoom(body: Readable): void {
    const error = renderQueue.refusal('upload')
    if (error === undefined) return
    body.destroy()
    throw error
  }

  return {
    async ingest(body, details, signal) {
      assertRoom(body)
      const spooled = await spool.toDisk(body, { maxBytes: maxUploadBytes, hashes }, signal)
      try {
        return await ingestSpooled(spooled, details, signal)
      } finally {
        await spooled.discard()
      }
    },
  }
}

function newRecord(id: string, { sizeBytes }: Spooled, facts: OriginalFacts, nowMs: number): ImageRecord {
  const { format, alpha, frames } = facts
  const uploadedAt = new Date(nowMs).toISOString()
  return { id, ...displayedSize(facts), format, bytes: sizeBytes, alpha, frames, uploadedAt }
}

/** `created` is false if the same bytes existed already. */
export interface Ingested {
  readonly record: ImageRecord
  readonly created: boolean
}

/** Uploads in the store: an original and its record, which exist both or not at all. */
export interface UploadStore {
  /** @returns the record if the store has it and the same bytes. */
  find(id: string, spooled: Spooled, signal: AbortSignal): Promise<ImageRecord | undefined>
  /**
   * Writes the original, then the record, so that a crash leaves at most an unacknowledged original. A deletion of the
   * same image writes its mark before it removes anything: without a mark after both writes, they are kept.
   * @throws UnavailableError also if the image is being deleted.
   */
  write(record: ImageRecord, spooled: Spooled, signal: AbortSignal): Promise<Ingested>
}

const ROUNDS = 3

function createUploadStore(store: ObjectStore, now: () => number): UploadStore {
  async function putOriginal({ id, format }: ImageRecord, spooled: Spooled, signal: AbortSignal): Promise<void> {
    const { source, sizeBytes, md5, sha256 } = spooled
    const put = { contentType: contentTypeOf(format), sizeBytes, ...(md5 !== '' && { md5 }), sha256 }
    if ((await store.put(originalKey(id), source, put, signal)) === 'created') return
    if (await isIntact(id, spooled, signal)) return
    await store.put(originalKey(id), source, { ...put, overwrite: true }, signal)
  }

  async function putRecord(record: ImageRecord, signal: AbortSignal): Promise<Ingested> {
    const bytes = Buffer.from(formatRecord(record))
    const object = { key: recordKey(record.id), bytes, contentType: 'application/json' }
    if ((await putBytes(store, object, signal)) === 'created') return { record, created: true }
    const existing = await readRecord(store, record.id, signal)
    if (existing) return { record: existing, created: false }
    await putBytes(store, { ...object, overwrite: true }, signal)
    return { record, created: true }
  }

  /** Consumers order the events of an image by its version, and the clocks of two nodes may differ. */
  async function putAfter(mark: DeletionMark, record: ImageRecord, signal: AbortSignal): Promise<ImageRecord> {
    if (recordVersion(record) > markVersion(mark)) return record
    const later = { ...record, uploadedAt: isoTime(markVersion(mark) + 1) }
    const bytes = Buffer.from(formatRecord(later))
    await putBytes(
      store,
      { key: recordKey(record.id), bytes, contentType: 'application/json', overwrite: true },
      signal,
    )
    return later
  }

  /** Whether the store has the same bytes, by size and MD5. */
  async function isIntact(id: string, { sizeBytes, md5 }: Spooled, signal: AbortSignal): Promise<boolean> {
    const stat = await store.stat(originalKey(id), signal)
    return stat !== undefined && stat.sizeBytes === sizeBytes && (stat.md5 === undefined || stat.md5 === md5)
  }

  return {
    async find(id, spooled, signal) {
      const existing = await readRecord(store, id, signal)
      return existing && (await isIntact(id, spooled, signal)) ? existing : undefined
    },
    async write(record, spooled, signal) {
      let created = false
      for (let round = 0; round < ROUNDS; round += 1) {
        await putOriginal(record, spooled, signal)
        const stored = await putRecord(record, signal)
        created ||= stored.created
        const text = await readText(store, deletedKey(record.id), signal)
        if (text === undefined) return { record: stored.record, created }
        const mark = parseDeletionMark(text)
        if (isUnderWay(mark, now())) break
        const current = await putAfter(mark, stored.record, signal)
        await store.remove(deletedKey(record.id), signal)
        const both = await Promise.all([readRecord(store, record.id, signal), isIntact(record.id, spooled, signal)])
        if (both.every(Boolean)) return { record: current, created }
      }
      throw new UnavailableError('store_unavailable', 'This image is being deleted; upload it again')
    },
  }
}
