import {
  deletedKey,
  formatDeletionMark,
  infoKeys,
  mezzanineKeys,
  originalKey,
  recordKey,
} from '../../domain/stored/store-layout.ts'
import { OriginalError, UnavailableError } from '../../errors.ts'
import type { InvalidationWatch } from '../deletion/guard.ts'
import type { ObjectStore } from '../ports/store.ts'
import { putBytes } from '../tools/small-object.ts'
import { readAlias } from './alias-service.ts'
import { createLabelIndex } from './label-index.ts'
import { readRecord } from './stored-record.ts'

export interface DeletionService {
  /**
   * Removes an image from the store and invalidates it on every node. Repeating it completes an interrupted deletion.
   * @param name Its id, or its SHA-1. The alias is kept, and leads to the answer "deleted".
   * @throws OriginalError `original_not_found`; UnavailableError
   */
  remove(name: string, signal: AbortSignal): Promise<void>
}

export interface DeletionServiceOptions {
  readonly store: ObjectStore
  readonly watch: InvalidationWatch
  readonly now: () => number
}

export function createDeletionService({ store, watch, now }: DeletionServiceOptions): DeletionService {
  const labels = createLabelIndex(store)

  async function mark(id: string, finished: boolean, signal: AbortSignal): Promise<void> {
    const bytes = Buffer.from(formatDeletionMark({ time: now(), finished }))
    const contentType = 'application/json'
    await putBytes(store, { key: deletedKey(id), bytes, contentType, overwrite: true, forDeletion: true }, signal)
  }

  /** On a full disk, derived objects are removed before the mark is written. */
  async function begin(id: string, signal: AbortSignal): Promise<void> {
    try {
      await mark(id, false, signal)
    } catch (error) {
      if (!(error instanceof UnavailableError) || error.code !== 'store_full') throw error
      await removeDerived(id, signal)
      await mark(id, false, signal)
    }
  }

  async function removeDerived(id: string, signal: AbortSignal): Promise<void> {
    await Promise.all([...mezzanineKeys(id), ...infoKeys(id)].map((key) => store.remove(key, signal)))
  }

  async function isKnown(id: string, signal: AbortSignal): Promise<boolean> {
    for (const key of [recordKey(id), originalKey(id), deletedKey(id)]) {
      if ((await store.stat(key, signal)) !== undefined) return true
    }
    return false
  }

  async function idOf(name: string, signal: AbortSignal): Promise<string> {
    if (await isKnown(name, signal)) return name
    const id = await readAlias(store, name, signal)
    if (id !== undefined && (await isKnown(id, signal))) return id
    throw new OriginalError('original_not_found', 'Image not found')
  }

  return {
    async remove(name, signal) {
      const id = await idOf(name, signal)
      const record = await readRecord(store, id, signal)
      await begin(id, signal)
      // Before the record, which names them: a repeated deletion finds those that remain.
      if (record) await labels.remove(record, signal)
      await store.remove(recordKey(id), signal)
      await store.remove(originalKey(id), signal)
      await removeDerived(id, signal)
      // From here on this deletion does not affect an upload of the same bytes.
      await mark(id, true, signal)
      await watch.announce(id, signal)
    },
  }
}
