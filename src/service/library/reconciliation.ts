import { type ImageEvent, recordVersion, storedEvent } from '../../domain/info/image-event.ts'
import { batchesSince, OUTBOX_PREFIX, parseBatchKey } from '../../domain/stored/outbox-batch.ts'
import { RECORDS_PREFIX } from '../../domain/stored/store-layout.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectStore } from '../ports/store.ts'
import { pause } from '../tools/coalesce.ts'
import { createBatchReader } from './batch-reader.ts'
import type { Outbox } from './outbox.ts'
import { readRecord } from './stored-record.ts'
import { createVersionTable, idNumber, NUMBER_END, type VersionTable } from './version-table.ts'

/**
 * Finds images without an event in the outbox, and reports them: of a node that ended between the record and the event, of a
 * version without events, or of a batch that was lost.
 */
export interface Reconciliation {
  /** @throws UnavailableError: nothing is skipped, and a repetition reports the same events. */
  run(window: ReconciledWindow, signal: AbortSignal): Promise<ReconcileReport>
}

export interface ReconciledWindow {
  /** Images whose record was written since then, by the clock of the store: ms since 1970. */
  readonly since: number
  /** And until then: those that are being uploaded have no event yet. */
  readonly until: number
  /** Only counts. */
  readonly dryRun?: boolean
}

export interface ReconcileReport {
  /** In the store. */
  readonly images: number
  /** In the window. */
  readonly checked: number
  /** Without an event; it is reported now, unless in a dry run. */
  readonly missing: number
}

export interface ReconciliationOptions {
  readonly store: ObjectStore
  readonly outbox: Pick<Outbox, 'report'>
  readonly meter: Pick<Meter, 'trouble'>
  /** Events in memory at a time, 16 bytes each. With more, the images are checked in parts, each with a pass over the outbox. */
  readonly tableSlots?: number
}

const TABLE_SLOTS = 1_000_000
/** The clocks of nodes and of the store may differ, and a batch is written some time after the record. */
const CLOCKS_MS = 30 * 60_000
/** Objects that are read at the same time. */
const AT_ONCE = 4
/** Keys between two pauses. */
const CHUNK = 100

/** A part of all images, by `idNumber`: from `start` (inclusive) to `end`. */
interface Part {
  readonly start: number
  readonly end: number
}

export function createReconciliation({
  store,
  outbox,
  meter,
  tableSlots = TABLE_SLOTS,
}: ReconciliationOptions): Reconciliation {
  const reader = createBatchReader(store, meter)

  /** Adds the newest event of each image of the part. @returns the end of the part, which is smaller if they are too many. */
  async function readEvents(table: VersionTable, part: Part, since: number, signal: AbortSignal): Promise<number> {
    table.clear()
    let { end } = part
    const add = ({ type, subject, version }: ImageEvent): void => {
      // The subject of a rejected file is its name, and a purge says nothing about what is stored.
      if (type === 'image.rejected' || type === 'image.purged') return
      const number = idNumber(subject)
      if (number < part.start || number >= end) return
      while (number < end && !table.add(number, type === 'image.deleted' ? -version : version)) {
        end = part.start + Math.ceil((end - part.start) / 2)
        table.removeFrom(end)
      }
    }
    const keys = store.list(OUTBOX_PREFIX, batchesSince(since - CLOCKS_MS), signal)
    for await (const chunk of chunksOf(keys, signal)) {
      const names = chunk.filter((key) => parseBatchKey(key) !== undefined)
      await inGroups(names, async (key) => {
        for (const event of await reader.read(key, signal)) add(event)
      })
    }
    return end
  }

  /** @returns The event of an image without one. */
  async function missingEvent(id: string, last: number, signal: AbortSignal): Promise<ImageEvent | undefined> {
    const record = await readRecord(store, id, signal)
    // A later event, also of a deletion, counts instead.
    return record === undefined || Math.abs(last) >= recordVersion(record) ? undefined : storedEvent(record)
  }

  return {
    async run({ since, until, dryRun = false }, signal) {
      const counts = { images: 0, checked: 0, missing: 0 }
      const table = createVersionTable(tableSlots)
      let width = NUMBER_END
      for (let start = 0; start < NUMBER_END; ) {
        const part = { start, end: Math.min(NUMBER_END, start + width) }
        const end = await readEvents(table, part, since, signal)
        for await (const chunk of chunksOf(recordsOf(store, { start, end }, signal), signal)) {
          counts.images += chunk.length
          const checked = chunk.filter(({ time }) => time >= since && time <= until)
          counts.checked += checked.length
          const doubtful = checked.filter(({ id, time }) => !isReported(table.get(idNumber(id)), time))
          await inGroups(doubtful, async ({ id }) => {
            const event = await missingEvent(id, table.get(idNumber(id)) ?? 0, signal)
            if (event === undefined) return
            counts.missing += 1
            if (!dryRun) await outbox.report(event, signal)
          })
        }
        width = end - start
        start = end
      }
      return counts
    },
  }
}

/** Whether the image of a record of this time has the event, without reading the record. */
function isReported(version: number | undefined, time: number): boolean {
  return version !== undefined && version > 0 && Math.abs(version - time) < CLOCKS_MS
}

async function* recordsOf(store: ObjectStore, { start, end }: Part, signal: AbortSignal) {
  // Sorts before the record of any id of the part.
  const digits = start.toString(16).padStart(13, '0')
  const after = `${RECORDS_PREFIX}${digits.slice(0, 2)}/`
  for await (const { key, modifiedAt } of store.listObjects(RECORDS_PREFIX, start === 0 ? '' : after, signal)) {
    const id = /(?<id>[0-9a-f]{40})\.json$/.exec(key)?.groups?.['id']
    if (id === undefined || idNumber(id) < start) continue
    if (idNumber(id) >= end) return
    yield { id, time: modifiedAt.getTime() }
  }
}

/** Between chunks it pauses for as long as the chunk took: half of the time is left to requests. */
async function* chunksOf<T>(items: AsyncIterable<T>, signal: AbortSignal): AsyncIterable<readonly T[]> {
  let chunk: T[] = []
  let began = performance.now()
  for await (const item of items) {
    chunk.push(item)
    if (chunk.length < CHUNK) continue
    yield chunk
    chunk = []
    await pause(performance.now() - began, signal)
    began = performance.now()
  }
  if (chunk.length > 0) yield chunk
}

async function inGroups<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  for (let at = 0; at < items.length; at += AT_ONCE) await Promise.all(items.slice(at, at + AT_ONCE).map(work))
}
