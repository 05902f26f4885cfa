import { deletedKey } from '../../domain/stored/store-layout.ts'
import type { ObjectStore } from '../ports/store.ts'
import { readText } from '../tools/small-object.ts'

/** Whether the image was deleted and not uploaded again. */
export async function isDeleted(store: ObjectStore, id: string, signal: AbortSignal): Promise<boolean> {
  return (await readText(store, deletedKey(id), signal)) !== undefined
}
