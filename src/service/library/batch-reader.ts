import {
  deletedEvent,
  type EventKey,
  type ImageEvent,
  keyEvent,
  purgedEvent,
  recordVersion,
  storedEvent,
} from '../../domain/info/image-event.ts'
import { type ParsedBatch, parseBatch } from '../../domain/stored/outbox-batch.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectStore } from '../ports/store.ts'
import { readWhole } from '../tools/small-object.ts'
import { readRecord } from './stored-record.ts'

/** Reads batches of the outbox. */
export interface BatchReader {
  /** Its events: of a damaged batch those that are intact, and those that can be made again. None if the key is absent. */
  read(key: string, signal: AbortSignal): Promise<readonly ImageEvent[]>
  readonly counters: { readonly damagedBatches: number; readonly incompleteBatches: number }
}

const MAX_BATCH_BYTES = 16 * 1024 * 1024
const EMPTY: ParsedBatch = { events: [], damaged: [], isComplete: true }
/** Damage may come from the connection: a second read decides. */
const READS = 2
const MAX_SEEN = 10_000

export function createBatchReader(store: ObjectStore, meter: Pick<Meter, 'trouble'>): BatchReader {
  const counters = { damagedBatches: 0, incompleteBatches: 0 }
  /** Each damaged batch is counted once, whatever number of consumers reads it. */
  const seen = new Set<string>()

  async function parse(key: string, signal: AbortSignal): Promise<ParsedBatch> {
    const object = await store.open(key, signal)
    return object === undefined ? EMPTY : parseBatch((await readWhole(object, MAX_BATCH_BYTES)).toString())
  }

  function count(key: string, { isComplete }: ParsedBatch): void {
    if (seen.has(key) || seen.size >= MAX_SEEN) return
    seen.add(key)
    counters.damagedBatches += 1
    if (!isComplete) counters.incompleteBatches += 1
    const effect = isComplete ? 'its events are complete' : 'some of its events may be missing from the feed'
    meter.trouble(`The batch of events ${key} is damaged in the object store; ${effect}`, undefined)
  }

  /** An image that is gone or has a later version has a later event. */
  async function repair(key: EventKey, signal: AbortSignal): Promise<readonly ImageEvent[]> {
    if (key.type === 'image.deleted') return [deletedEvent(key.subject, key.version)]
    if (key.type === 'image.purged') return [purgedEvent(key.subject, key.version)]
    if (key.type === 'image.rejected') return [keyEvent(key)]
    const record = await readRecord(store, key.subject, signal)
    return record !== undefined && recordVersion(record) === key.version ? [storedEvent(record)] : []
  }

  return {
    counters,
    async read(key, signal) {
      let batch = EMPTY
      for (let reads = 0; reads < READS; reads += 1) {
        batch = await parse(key, signal)
        if (batch.isComplete && batch.damaged.length === 0) return batch.events
      }
      count(key, batch)
      const repaired = await Promise.all(batch.damaged.map((each) => repair(each, signal)))
      return [...batch.events, ...repaired.flat()]
    },
  }
}
