import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deletedEvent, type ImageEvent, storedEvent } from '../../../../src/domain/info/image-event.ts'
import { formatRecord, type ImageRecord } from '../../../../src/domain/info/image-record.ts'
import { batchKey, formatBatch, OUTBOX_PREFIX } from '../../../../src/domain/stored/outbox-batch.ts'
import { recordKey } from '../../../../src/domain/stored/store-layout.ts'
import { createNightly } from '../../../../src/service/library/nightly.ts'
import { createOutbox } from '../../../../src/service/library/outbox.ts'
import { createReconciliation } from '../../../../src/service/library/reconciliation.ts'
import { createVersionTable, idNumber } from '../../../../src/service/library/version-table.ts'
import { putBytes } from '../../../../src/service/tools/small-object.ts'
import { idOf } from '../../../../tools/pictures/picture.ts'
import { createMemoryStore } from '../../../support/memory-store.ts'
import { never } from '../../../support/service-stage.ts'

const NOW = Date.parse('2026-11-30T12:00:00.000Z')
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const id = (number: number): string => idOf(Buffer.from(String(number)))

function setUp({ tableSlots = 1000 }: { tableSlots?: number } = {}) {
  const store = createMemoryStore()
  const clock = { ms: NOW }
  const reported: ImageEvent[] = []
  const troubles: string[] = []
  let batches = 0
  const meter = { trouble: (message: string) => void troubles.push(message) }
  const outbox = createOutbox({ store, meter, now: () => clock.ms, node: '0000000b' })
  const report = async (event: ImageEvent, signal: AbortSignal) => {
    reported.push(event)
    await outbox.report(event, signal)
  }
  const reconciliation = createReconciliation({ store, outbox: { report }, meter, tableSlots })
  return {
    store,
    clock,
    reported,
    troubles,
    reconciliation,
    nightly: createNightly({ store, reconciliation, meter, now: () => clock.ms, keepMs: 7 * DAY_MS }),
    async record(number: number, time: number): Promise<ImageRecord> {
      const uploadedAt = new Date(time).toISOString()
      const shape = { width: 4, height: 3, format: 'jpeg', bytes: 100, alpha: false, frames: 1 } as const
      const record = { id: id(number), ...shape, uploadedAt }
      const bytes = Buffer.from(formatRecord(record))
      const key = recordKey(record.id)
      await putBytes(store, { key, bytes, contentType: 'application/json', overwrite: true }, never)
      const object = store.objects.get(key)
      assert.ok(object)
      store.objects.set(key, { ...object, modifiedAt: new Date(time) })
      return record
    },
    async write(time: number, events: readonly ImageEvent[]): Promise<string> {
      batches += 1
      const key = batchKey({ time, node: '0000000a', number: batches })
      await putBytes(store, { key, bytes: Buffer.from(formatBatch(events)), contentType: 'text/plain' }, never)
      return key
    },
  }
}

const ids = (events: readonly ImageEvent[]) => events.map(({ subject }) => subject).toSorted()

test('Images without an event are reported once, with the event that their upload would have had', async () => {
  const stage = setUp()
  const window = { since: NOW - DAY_MS, until: NOW }
  const records: ImageRecord[] = []
  for (let number = 0; number < 10; number += 1) records.push(await stage.record(number, NOW - HOUR_MS))
  const events = records.map(storedEvent)
  await stage.write(NOW - HOUR_MS, events.slice(0, 5))
  const lost = await stage.write(NOW - HOUR_MS + 1, events.slice(5, 9))
  stage.store.objects.delete(lost)
  assert.deepEqual(await stage.reconciliation.run({ ...window, dryRun: true }, never), {
    images: 10,
    checked: 10,
    missing: 5,
  })
  assert.deepEqual(stage.reported, [])
  assert.equal((await stage.reconciliation.run(window, never)).missing, 5)
  const byId = (one: ImageEvent, other: ImageEvent) => one.id.localeCompare(other.id)
  assert.deepEqual(stage.reported.toSorted(byId), events.slice(5).toSorted(byId))
  assert.equal((await stage.reconciliation.run(window, never)).missing, 0)
})

test('Only the window is checked, and records outside it are not read', async () => {
  const stage = setUp()
  await stage.record(1, NOW - 3 * DAY_MS)
  await stage.record(2, NOW - DAY_MS)
  await stage.record(3, NOW - 1000)
  const report = await stage.reconciliation.run({ since: NOW - 2 * DAY_MS, until: NOW - HOUR_MS }, never)
  assert.deepEqual(report, { images: 3, checked: 1, missing: 1 })
  assert.deepEqual(ids(stage.reported), [id(2)])
})

test('A later deletion counts instead, and an image that was uploaded again needs an event of its own', async () => {
  const stage = setUp()
  const deleted = await stage.record(1, NOW - 2 * HOUR_MS)
  await stage.write(NOW - HOUR_MS, [storedEvent(deleted), deletedEvent(deleted.id, NOW - HOUR_MS)])
  const before = await stage.record(2, NOW - 3 * HOUR_MS)
  await stage.write(NOW - 3 * HOUR_MS, [storedEvent(before), deletedEvent(before.id, NOW - 2 * HOUR_MS)])
  const again = await stage.record(2, NOW - HOUR_MS)
  await stage.reconciliation.run({ since: NOW - DAY_MS, until: NOW }, never)
  assert.deepEqual(stage.reported, [storedEvent(again)])
})

test('More events than the memory holds are compared in parts, with the same result', async () => {
  const stage = setUp({ tableSlots: 40 })
  const all = Array.from({ length: 200 }, (_, number) => number)
  const events: ImageEvent[] = []
  for (const number of all) {
    const record = await stage.record(number, NOW - HOUR_MS)
    if (number % 7 !== 0) events.push(storedEvent(record))
  }
  for (let at = 0; at < events.length; at += 50) await stage.write(NOW - HOUR_MS + at, events.slice(at, at + 50))
  const report = await stage.reconciliation.run({ since: NOW - DAY_MS, until: NOW }, never)
  const missing = all.filter((number) => number % 7 === 0)
  assert.deepEqual(report, { images: 200, checked: 200, missing: missing.length })
  assert.deepEqual(ids(stage.reported), missing.map(id).toSorted())
})

test('One node a night checks the images since the last night', async () => {
  const stage = setUp()
  await stage.nightly(never)
  assert.equal(stage.store.objects.size, 0)
  await stage.record(1, NOW - HOUR_MS)
  await stage.nightly(never)
  assert.deepEqual(ids(stage.reported), [id(1)])
  assert.match(stage.troubles.join(), /1 images had no event/)
  await stage.record(2, NOW - 2 * HOUR_MS)
  await stage.nightly(never)
  assert.deepEqual(ids(stage.reported), [id(1)])
  // A missed night leaves no gap.
  await stage.record(3, NOW + HOUR_MS)
  stage.clock.ms = NOW + 9 * DAY_MS
  await stage.nightly(never)
  assert.deepEqual(ids(stage.reported), [id(1), id(3)].toSorted())
  const nights = [...stage.store.objects.keys()].filter((key) => key.startsWith('relay/nights/'))
  assert.deepEqual(nights, ['relay/nights/2026-12-09'])
})

test('A night that fails may be tried again, and remembers nothing', async () => {
  const stage = setUp()
  await stage.nightly(never)
  await stage.record(1, NOW - HOUR_MS)
  const failing = { ...stage.store, listObjects: () => failingList() }
  const reconciliation = createReconciliation({ store: failing, outbox: { report: async () => {} }, meter: QUIET })
  const options = { store: stage.store, reconciliation, meter: QUIET, now: () => NOW, keepMs: 7 * DAY_MS }
  const nightly = createNightly(options)
  await nightly(never)
  await assert.rejects(nightly(never), /unreachable/)
  assert.deepEqual(
    [...stage.store.objects.keys()].filter((key) => !key.startsWith('records/')),
    [],
  )
  await stage.nightly(never)
  assert.deepEqual(ids(stage.reported), [id(1)])
  assert.equal([...stage.store.objects.keys()].filter((key) => key.startsWith(OUTBOX_PREFIX)).length, 1)
})

const QUIET = { trouble: () => {} }

async function* failingList(): AsyncGenerator<never> {
  yield await Promise.reject(new Error('The store is unreachable'))
}

test('A table of versions has the newest one of each number, until three quarters are used', () => {
  const table = createVersionTable(40)
  const numbers = Array.from({ length: 30 }, (_, number) => idNumber(id(number)))
  for (const number of numbers) assert.ok(table.add(number, 5))
  const [first = 0] = numbers
  assert.equal(table.add(idNumber(id(31)), 5), false)
  assert.ok(table.add(first, -7))
  assert.ok(table.add(first, 6))
  assert.equal(table.get(first), -7)
  const middle = numbers.toSorted((one, other) => one - other)[15] ?? 0
  table.removeFrom(middle)
  for (const number of numbers) {
    const expected = number === first ? -7 : 5
    assert.equal(table.get(number), number < middle ? expected : undefined)
  }
})
