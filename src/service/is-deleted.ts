import { deletedKey } from '../domain/store-layout.ts'
import type { ObjectStore } from './ports.ts'
import { readText } from './small-object.ts'

/** Whether the image was deleted and not uploaded again. */
export async function isDeleted(store: ObjectStore, id: string, signal: AbortSignal): Promise<boolean> {
  return (await readText(store, deletedKey(id), signal)) !== undefined
}
