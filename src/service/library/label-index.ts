import type { ImageRecord } from '../../domain/info/image-record.ts'
import { labelKey } from '../../domain/stored/store-layout.ts'
import type { ObjectStore } from '../ports/store.ts'
import { putBytes } from '../tools/small-object.ts'

/** Finds the images of a label: an empty object for each label of each image. */
export interface LabelIndex {
  /** Repeating it has no effect. */
  add(record: ImageRecord, signal: AbortSignal): Promise<void>
  remove(record: ImageRecord, signal: AbortSignal): Promise<void>
}

const EMPTY = { bytes: Buffer.alloc(0), contentType: 'text/plain' } as const

export function createLabelIndex(store: ObjectStore): LabelIndex {
  return {
    async add({ id, labels = [] }, signal) {
      await Promise.all(labels.map((label) => putBytes(store, { key: labelKey(label, id), ...EMPTY }, signal)))
    },
    async remove({ id, labels = [] }, signal) {
      await Promise.all(labels.map((label) => store.remove(labelKey(label, id), signal)))
    },
  }
}
