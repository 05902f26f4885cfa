import { type ImageRecord, parseRecord } from '../../domain/info/image-record.ts'
import { recordKey } from '../../domain/stored/store-layout.ts'
import type { ObjectStore } from '../ports/store.ts'
import { readText } from '../tools/small-object.ts'

/** @returns undefined if the store has no valid record of this id. */
export async function readRecord(
  store: ObjectStore,
  id: string,
  signal: AbortSignal,
): Promise<ImageRecord | undefined> {
  const text = await readText(store, recordKey(id), signal)
  return text === undefined ? undefined : parseRecord(text)
}
