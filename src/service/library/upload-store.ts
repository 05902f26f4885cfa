import { formatRecord, type ImageRecord, parseRecord } from '../../domain/info/image-record.ts'
import { contentTypeOf } from '../../domain/spec/image-format.ts'
import { deletedKey, isUnderWay, originalKey, parseDeletionMark, recordKey } from '../../domain/stored/store-layout.ts'
import { UnavailableError } from '../../errors.ts'
import type { Spooled } from '../ports/cache.ts'
import type { ObjectStore } from '../ports/store.ts'
import { putBytes, readText } from '../tools/small-object.ts'

/** `created` is false if the very bytes were here already. */
export interface Ingested {
  readonly record: ImageRecord
  readonly created: boolean
}

/** Uploads in the store: an original and its record, which are there both or not at all. */
export interface UploadStore {
  /** @returns the record if the store holds it and these very bytes. */
  find(id: string, spooled: Spooled, signal: AbortSignal): Promise<ImageRecord | undefined>
  /**
   * Original first, then record, so that a crash leaves at most an original that nobody was told of. A deletion of the
   * same image leaves its mark before it removes anything: with no mark after both are written, they stay.
   * @throws UnavailableError also if the image is being deleted.
   */
  write(record: ImageRecord, spooled: Spooled, signal: AbortSignal): Promise<Ingested>
}

const ROUNDS = 3

export function createUploadStore(store: ObjectStore, now: () => number): UploadStore {
  async function putOriginal({ id, format }: ImageRecord, spooled: Spooled, signal: AbortSignal): Promise<void> {
    const { source, sizeBytes, md5 } = spooled
    const put = { contentType: contentTypeOf(format), sizeBytes, md5 }
    if ((await store.put(originalKey(id), source, put, signal)) === 'created') return
    if (await isIntact(id, spooled, signal)) return
    await store.put(originalKey(id), source, { ...put, overwrite: true }, signal)
  }

  async function putRecord(record: ImageRecord, signal: AbortSignal): Promise<Ingested> {
    const bytes = Buffer.from(formatRecord(record))
    const object = { key: recordKey(record.id), bytes, contentType: 'application/json' }
    if ((await putBytes(store, object, signal)) === 'created') return { record, created: true }
    const existing = await readRecord(record.id, signal)
    if (existing) return { record: existing, created: false }
    await putBytes(store, { ...object, overwrite: true }, signal)
    return { record, created: true }
  }

  async function readRecord(id: string, signal: AbortSignal): Promise<ImageRecord | undefined> {
    const text = await readText(store, recordKey(id), signal)
    return text === undefined ? undefined : parseRecord(text)
  }

  /** True if the store holds these very bytes, as far as it can tell without reading them. */
  async function isIntact(id: string, { sizeBytes, md5 }: Spooled, signal: AbortSignal): Promise<boolean> {
    const stat = await store.stat(originalKey(id), signal)
    return stat !== undefined && stat.sizeBytes === sizeBytes && (stat.md5 === undefined || stat.md5 === md5)
  }

  return {
    async find(id, spooled, signal) {
      const existing = await readRecord(id, signal)
      return existing && (await isIntact(id, spooled, signal)) ? existing : undefined
    },
    async write(record, spooled, signal) {
      let created = false
      for (let round = 0; round < ROUNDS; round += 1) {
        await putOriginal(record, spooled, signal)
        const stored = await putRecord(record, signal)
        created ||= stored.created
        const mark = await readText(store, deletedKey(record.id), signal)
        if (mark === undefined) return { record: stored.record, created }
        if (isUnderWay(parseDeletionMark(mark), now())) break
        await store.remove(deletedKey(record.id), signal)
        const both = await Promise.all([readRecord(record.id, signal), isIntact(record.id, spooled, signal)])
        if (both.every(Boolean)) return { record: stored.record, created }
      }
      throw new UnavailableError('store_unavailable', 'This image is being deleted; upload it again')
    },
  }
}
