import { type ImageRecord, parseRecord } from '../../domain/info/image-record.ts'
import { recordKey } from '../../domain/stored/store-layout.ts'
import { OriginalError } from '../../errors.ts'
import { isDeleted } from '../deletion/guard.ts'
import type { ObjectStore } from '../ports/store.ts'
import { readText } from '../tools/small-object.ts'

export interface RecordService {
  /** @throws OriginalError `original_not_found`, `original_deleted`; UnavailableError */
  record(id: string, signal: AbortSignal): Promise<ImageRecord>
}

export function createRecordService(store: ObjectStore): RecordService {
  return {
    async record(id, signal) {
      const text = await readText(store, recordKey(id), signal)
      const record = text === undefined ? undefined : parseRecord(text)
      if (record) return record
      if (await isDeleted(store, id, signal)) throw new OriginalError('original_deleted', 'This image was deleted')
      throw new OriginalError('original_not_found', 'Image not found')
    },
  }
}
