import { deletedEvent, recordVersion } from '../../domain/info/image-event.ts'
import type { ImageRecord } from '../../domain/info/image-record.ts'
import {
  type DeletionMark,
  deletedKey,
  formatDeletionMark,
  infoKeys,
  markVersion,
  mezzanineKeys,
  originalKey,
  parseDeletionMark,
  recordKey,
} from '../../domain/stored/store-layout.ts'
import { OriginalError, UnavailableError } from '../../errors.ts'
import type { InvalidationWatch } from '../deletion/guard.ts'
import type { ObjectStore } from '../ports/store.ts'
import type { SharedRenditions } from '../renditions/shared-renditions.ts'
import { putBytes, readText } from '../tools/small-object.ts'
import { readAlias } from './alias-service.ts'
import { createLabelIndex } from './label-index.ts'
import type { Outbox } from './outbox.ts'
import { readRecord } from './stored-record.ts'

export interface DeletionService {
  /**
   * Removes an image from the store, invalidates it on every node, and reports it in an event. Repeating it completes an interrupted deletion.
   * @param name Its id, or its SHA-1. The alias is kept, and leads to the answer "deleted".
   * @throws OriginalError `original_not_found`; UnavailableError
   */
  remove(name: string, signal: AbortSignal): Promise<void>
}

export interface DeletionServiceOptions {
  readonly store: ObjectStore
  readonly watch: InvalidationWatch
  readonly shared: Pick<SharedRenditions, 'remove'>
  readonly outbox: Pick<Outbox, 'report'>
  readonly now: () => number
}

export function createDeletionService({ store, watch, shared, outbox, now }: DeletionServiceOptions): DeletionService {
  const labels = createLabelIndex(store)

  async function mark(
    id: string,
    state: Pick<DeletionMark, 'finished' | 'version'>,
    signal: AbortSignal,
  ): Promise<void> {
    const bytes = Buffer.from(formatDeletionMark({ time: now(), ...state }))
    const contentType = 'application/json'
    await putBytes(store, { key: deletedKey(id), bytes, contentType, overwrite: true, forDeletion: true }, signal)
  }

  /** On a full disk, derived objects are removed before the mark is written. */
  async function begin(id: string, version: number, signal: AbortSignal): Promise<void> {
    try {
      await mark(id, { finished: false, version }, signal)
    } catch (error) {
      if (!(error instanceof UnavailableError) || error.code !== 'store_full') throw error
      await removeDerived(id, signal)
      await mark(id, { finished: false, version }, signal)
    }
  }

  /** Version of the event. A deletion that completes an interrupted one has the same. */
  async function versionOf(id: string, record: ImageRecord | undefined, signal: AbortSignal) {
    const text = await readText(store, deletedKey(id), signal)
    const earlier = text === undefined ? undefined : parseDeletionMark(text)
    const stored = record ? recordVersion(record) : 0
    const marked = earlier ? markVersion(earlier) : 0
    if (earlier && !record && earlier.finished) return { version: marked, isReported: true }
    if (earlier && !earlier.finished && marked > stored) return { version: marked, isReported: false }
    return { version: Math.max(now(), stored + 1, marked + 1), isReported: false }
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
      const { version, isReported } = await versionOf(id, record, signal)
      await begin(id, version, signal)
      // Before the record, which names them: a repeated deletion finds those that remain.
      if (record) await labels.remove(record, signal)
      await store.remove(recordKey(id), signal)
      await store.remove(originalKey(id), signal)
      await removeDerived(id, signal)
      await watch.announce(id, signal)
      await shared.remove(id, signal)
      if (!isReported) await outbox.report(deletedEvent(id, version), signal)
      // From here on this deletion does not affect an upload of the same bytes.
      await mark(id, { finished: true, version }, signal)
    },
  }
}
