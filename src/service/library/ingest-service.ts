import type { Readable } from 'node:stream'
import { imageIdFromSha256 } from '../../domain/identity/image-id.ts'
import type { ImageRecord } from '../../domain/info/image-record.ts'
import { displayedSize, type OriginalFacts } from '../../domain/picture/original-facts.ts'
import { decodingCost } from '../../domain/picture/work-cost.ts'
import { OriginalError } from '../../errors.ts'
import type { DeletionGuard } from '../deletion/guard.ts'
import type { WorkQueue } from '../load/work-queue.ts'
import type { OriginalService } from '../originals/original-service.ts'
import type { ImageCache, Spool, Spooled } from '../ports/cache.ts'
import type { ImageEngine } from '../ports/engine.ts'
import type { ObjectStore } from '../ports/store.ts'
import type { MezzanineService } from '../renditions/mezzanine-service.ts'
import type { InfoService } from './info-service.ts'
import { createUploadStore, type Ingested } from './upload-store.ts'

export interface IngestService {
  /**
   * Takes in an original: checked, then the bytes and their record, both durable when this returns. The same bytes again
   * change nothing.
   *
   * @throws OriginalError `invalid_upload` for no bytes, `original_too_large`, `original_unsupported`, `original_broken`; UnavailableError
   */
  ingest(body: Readable, signal: AbortSignal): Promise<Ingested>
}

export interface IngestServiceOptions {
  readonly store: ObjectStore
  readonly spool: Pick<Spool, 'toDisk'>
  readonly cache: Pick<ImageCache, 'adoptOriginal'>
  readonly engine: Pick<ImageEngine, 'inspect' | 'verify'>
  readonly originals: Pick<OriginalService, 'learn'>
  readonly mezzanines: Pick<MezzanineService, 'make'>
  readonly infos: Pick<InfoService, 'make'>
  readonly guard: DeletionGuard
  readonly renderQueue: Pick<WorkQueue, 'refusal' | 'enter' | 'run' | 'holdBackground'>
  readonly maxUploadBytes: number
  readonly now: () => number
}

export function createIngestService(options: IngestServiceOptions): IngestService {
  const { store, spool, cache, engine, originals, mezzanines, infos, guard, renderQueue, maxUploadBytes, now } = options

  const uploads = createUploadStore(store, now)

  /** Whoever uploads goes before what is made of the uploads before. */
  async function ingestSpooled(spooled: Spooled, signal: AbortSignal): Promise<Ingested> {
    const release = renderQueue.holdBackground()
    try {
      return await takeIn(spooled, signal)
    } finally {
      release()
    }
  }

  async function takeIn(spooled: Spooled, signal: AbortSignal): Promise<Ingested> {
    if (spooled.sizeBytes === 0) throw new OriginalError('invalid_upload', 'The file is empty: send an image')
    const id = imageIdFromSha256(spooled.sha256)
    const work = guard.begin(id)
    const existing = await uploads.find(id, spooled, signal)
    if (existing) return { record: existing, created: false }
    const facts = await engine.inspect(spooled.source)
    await verify(spooled, facts, signal)
    const written = await uploads.write(newRecord(id, spooled, facts), spooled, signal)
    originals.learn(id, facts)
    const { source } = spooled
    // The first view then needs no fetch. Losing it costs only that.
    const isHere = await work.tryPublish(() => 'path' in source && cache.adoptOriginal(id, source.path))
    // The upload does not wait for mezzanines and info.
    if (isHere) void mezzanines.make(id).then(() => infos.make(id))
    return written
  }

  async function verify({ source }: Spooled, facts: OriginalFacts, signal: AbortSignal): Promise<void> {
    const place = renderQueue.enter('upload', { costMs: decodingCost(facts, facts.frames) })
    try {
      await renderQueue.run(() => engine.verify(source, facts), signal, { priority: 'upload', place })
    } finally {
      place.leave()
    }
  }

  function newRecord(id: string, { sizeBytes }: Spooled, facts: OriginalFacts): ImageRecord {
    const { format, alpha, frames } = facts
    return {
      id,
      ...displayedSize(facts),
      format,
      bytes: sizeBytes,
      alpha,
      frames,
      uploadedAt: new Date(now()).toISOString(),
    }
  }

  /** Nobody is to send megabytes for a refusal. */
  function assertRoom(body: Readable): void {
    const error = renderQueue.refusal('upload')
    if (error === undefined) return
    body.destroy()
    throw error
  }

  return {
    async ingest(body, signal) {
      assertRoom(body)
      const spooled = await spool.toDisk(body, maxUploadBytes, signal)
      try {
        return await ingestSpooled(spooled, signal)
      } finally {
        await spooled.discard()
      }
    },
  }
}
