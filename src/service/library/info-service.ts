import { LRUCache } from 'lru-cache'
import { isTransientId, isVersionId } from '../../domain/identity/image-id.ts'
import { formatInfo, type ImageInfo, parseInfo } from '../../domain/info/image-info.ts'
import type { ImageRecord } from '../../domain/info/image-record.ts'
import { decodingCost } from '../../domain/picture/transform-plan.ts'
import { infoKey, originalKey } from '../../domain/stored/store-layout.ts'
import { OriginalError, UnavailableError } from '../../errors.ts'
import { type DeletionGuard, type GuardedWork, isDeleted } from '../deletion/guard.ts'
import type { Work, WorkQueue } from '../load/work-queue.ts'
import type { OriginalService } from '../originals/fetch.ts'
import type { ImageEngine } from '../ports/engine.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectStore } from '../ports/store.ts'
import { createBackground } from '../tools/background.ts'
import { createCoalescer } from '../tools/coalesce.ts'
import { createSharing, readText } from '../tools/small-object.ts'
import { readRecord } from './stored-record.ts'

/** Infos of originals: measured once, after the upload or on request, and stored for all nodes. */
export interface InfoService {
  /**
   * From memory or the store, otherwise measured now. It does not check whether the image exists: the record does.
   * @throws OriginalError, UnavailableError
   */
  info(id: string, signal: AbortSignal): Promise<ImageInfo>
  /**
   * Measures a new original in the background. After a failure it is measured on request.
   * @returns when it has ended, also after a failure.
   */
  make(id: string): Promise<void>
  /** Keeps what was measured while the original was uploaded, in memory and in the background in the store. */
  keep(id: string, info: ImageInfo, work: GuardedWork): void
  /** Drops entries of these images from memory. */
  forget(ids: ReadonlySet<string>): void
  /** Infos being measured in the background or written to the store. */
  readonly pending: number
  /** Drops work that has not begun, and resolves when the rest has ended. */
  stop(): Promise<void>
}

export interface InfoServiceOptions {
  readonly store: ObjectStore
  readonly engine: ImageEngine
  readonly originals: OriginalService
  readonly guard: DeletionGuard
  readonly renderQueue: WorkQueue
  readonly meter: Meter
}

/** Cost of measuring an unknown original. */
const USUAL_COST_MS = 30
/** Maximum pending measurements; others are made on request. */
const MAX_PENDING = 10_000
/** Size of the JSON in memory, for a read-only store. */
const MAX_REMEMBERED_BYTES = 8 * 1024 * 1024

export function createInfoService(options: InfoServiceOptions): InfoService {
  const { store, engine, originals, guard, renderQueue, meter } = options
  const flights = createCoalescer<ImageInfo>()
  const remembered = new LRUCache<string, ImageInfo>({
    maxSize: MAX_REMEMBERED_BYTES,
    sizeCalculation: (info) => formatInfo(info).length,
  })
  const making = new Map<string, Promise<void>>()
  const shared = createStoredInfos(store, meter)
  const background = createBackground()

  async function bring(id: string, signal: AbortSignal): Promise<ImageInfo> {
    const work = guard.begin(id)
    const stored = isVersionId(id) ? undefined : await shared.read(id, signal)
    if (stored === undefined) return await measureNow(id, signal)
    work.remember(() => remember(id, stored))
    return stored
  }

  /** Taken first, so that a refused request costs no fetch. */
  async function measureNow(id: string, signal: AbortSignal): Promise<ImageInfo> {
    const place = renderQueue.enter('viewer', { costMs: USUAL_COST_MS })
    try {
      return await measure(id, signal, { priority: 'viewer', place })
    } finally {
      place.leave()
    }
  }

  async function measure(id: string, signal: AbortSignal, work: Work): Promise<ImageInfo> {
    const guarded = guard.begin(id)
    const { source, facts } = await originals.ready({ id }, signal)
    work.place?.revise(decodingCost(facts, 1))
    const info = await renderQueue.run(() => engine.measure(source, facts), signal, work)
    await guarded.publish(() => remember(id, info))
    // Stored in the background. Infos of versions are not stored, as the store would keep them for ever.
    if (!isVersionId(id)) background.track(shared.share(id, info, background.signal))
    return info
  }

  function remember(id: string, info: ImageInfo): void {
    if (!isTransientId(id)) remembered.set(id, info)
  }

  async function measureAhead(id: string): Promise<void> {
    const { signal } = background
    try {
      await measure(id, signal, { priority: 'background' })
    } catch (error) {
      // Deleted meanwhile, or broken: the request for the info reports it.
      if (signal.aborted || error instanceof OriginalError) return
      meter.trouble(`The information of image ${id} could not be computed in advance`, error)
    }
  }

  return {
    async info(id, signal) {
      return remembered.get(id) ?? (await flights.run(id, (within) => bring(id, within), signal)).value
    },
    async make(id) {
      const underWay = making.get(id)
      if (underWay || background.signal.aborted || remembered.has(id) || background.pending >= MAX_PENDING)
        return await underWay
      const work = measureAhead(id).finally(() => making.delete(id))
      making.set(id, work)
      background.track(work)
      await work
    },
    keep(id, info, work) {
      work.remember(() => remember(id, info))
      background.track(shared.share(id, info, background.signal))
    },
    forget(ids) {
      for (const id of ids) remembered.delete(id)
    },
    get pending() {
      return background.pending
    },
    stop: background.stop,
  }
}

/** Infos in the store, for all nodes. */
export interface StoredInfos {
  /** If the store fails, the original is measured again; the fetch of the original reports an outage. */
  read(id: string, signal: AbortSignal): Promise<ImageInfo | undefined>
  /** If the store is not writable, other nodes measure again. It never rejects. */
  share(id: string, info: ImageInfo, signal: AbortSignal): Promise<void>
}

const UNSHARED = 'Image information could not be written to the object store: other nodes will compute it again'

function createStoredInfos(store: ObjectStore, meter: Meter): StoredInfos {
  const sharing = createSharing({ store, meter, trouble: UNSHARED })
  return {
    async read(id, signal) {
      try {
        const text = await readText(store, infoKey(id), signal)
        return text === undefined ? undefined : parseInfo(text)
      } catch (error) {
        signal.throwIfAborted()
        if (!(error instanceof UnavailableError)) throw error
        meter.trouble(`The information of image ${id} could not be read from the object store`, error)
        return undefined
      }
    },
    async share(id, info, signal) {
      if (signal.aborted) return
      const bytes = Buffer.from(formatInfo(info))
      try {
        if (
          !(await sharing.share(
            { key: infoKey(id), bytes, contentType: 'application/json', rebuildable: true },
            signal,
          ))
        )
          return
        // A deletion removes the original before the info, and may have ended during the write.
        if ((await store.stat(originalKey(id), signal)) === undefined) await store.remove(infoKey(id), signal)
      } catch (error) {
        if (!signal.aborted) meter.trouble(UNSHARED, error)
      }
    },
  }
}

export interface RecordService {
  /** @throws OriginalError `original_not_found`, `original_deleted`; UnavailableError */
  record(id: string, signal: AbortSignal): Promise<ImageRecord>
}

export function createRecordService(store: ObjectStore): RecordService {
  return {
    async record(id, signal) {
      const record = await readRecord(store, id, signal)
      if (record) return record
      if (await isDeleted(store, id, signal)) throw new OriginalError('original_deleted', 'This image was deleted')
      throw new OriginalError('original_not_found', 'Image not found')
    },
  }
}
