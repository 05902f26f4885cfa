import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { OUTBOX_PREFIX } from '../../../../src/domain/stored/outbox-batch.ts'
import {
  deletedKey,
  INVALIDATIONS_PREFIX,
  infoKeys,
  invalidationKey,
  mezzanineKeys,
  originalKey,
  recordKey,
} from '../../../../src/domain/stored/store-layout.ts'
import { UnavailableError } from '../../../../src/errors.ts'
import { original } from '../../../support/memory-engine.ts'
import { createStage, idOf, never } from '../../../support/service-stage.ts'

const BYTES = original()
const ID = idOf(BYTES)

test('A deletion leaves its mark, an invalidation and the events, and nothing else', async () => {
  const stage = createStage()
  await stage.upload(BYTES)
  await stage.deletions.remove(ID, never)
  const keys = [...stage.objects.keys()].filter((key) => !key.startsWith(OUTBOX_PREFIX))
  assert.equal(keys.length, 2)
  assert.ok(keys.includes(deletedKey(ID)) && keys.some((key) => key.startsWith(INVALIDATIONS_PREFIX)))
  await assert.rejects(stage.records.record(ID, never), { code: 'original_deleted' })
  await assert.rejects(stage.originals.ready({ id: ID }, never), { code: 'original_deleted' })
  assert.deepEqual([...stage.disk.files.keys()], [])
})

test('The mark is there before anything is removed, and finished after the event', async () => {
  const stage = createStage()
  await stage.upload(BYTES)
  await stage.infos.stop()
  stage.asked.length = 0
  await stage.deletions.remove(ID, never)
  const steps = [
    `put ${deletedKey(ID)}`,
    `remove ${recordKey(ID)}`,
    `remove ${originalKey(ID)}`,
    ...[...mezzanineKeys(ID), ...infoKeys(ID)].map((key) => `remove ${key}`),
    `put ${invalidationKey({ id: ID, time: stage.clock.ms })}`,
    'put outbox',
    `put ${deletedKey(ID)}`,
  ]
  const writes = stage.asked.filter((call) => !call.startsWith('open '))
  assert.deepEqual(
    writes.map((call) => call.replace(/^put outbox\/.*/, 'put outbox')),
    steps,
  )
})

test('A deletion removes the image from the index of its labels', async () => {
  const stage = createStage()
  await stage.ingest.ingest(Readable.from([BYTES]), { labels: ['cats', '2026'] }, never)
  await stage.deletions.remove(ID, never)
  assert.deepEqual(
    [...stage.objects.keys()].filter((key) => key.startsWith('labels/')),
    [],
  )
})

test('What never was here cannot be deleted', async () => {
  const stage = createStage()
  await assert.rejects(stage.deletions.remove(ID, never), { name: 'OriginalError', code: 'original_not_found' })
  assert.deepEqual([...stage.objects.keys()], [])
  await assert.rejects(stage.records.record(ID, never), { code: 'original_not_found' })
})

test('A deletion may be repeated, and an original that was never acknowledged be deleted', async () => {
  const stage = createStage()
  await stage.plant(BYTES)
  for (let times = 0; times < 2; times += 1) await stage.deletions.remove(ID, never)
  assert.ok(!stage.objects.has(originalKey(ID)))
})

for (const step of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]) {
  test(`A deletion that fails at step ${step} in the store is completed by repeating it`, async () => {
    const stage = createStage()
    await stage.upload(BYTES)
    // What is written in the background is no step of the deletion.
    await stage.infos.stop()
    const { put, remove } = stage.store
    let calls = 0
    const failing = () => {
      calls += 1
      if (calls === step) throw new UnavailableError('store_unavailable', 'down')
    }
    stage.store.put = async (...args) => {
      failing()
      return await put(...args)
    }
    stage.store.remove = async (...args) => {
      failing()
      await remove(...args)
    }
    await assert.rejects(stage.deletions.remove(ID, never), { code: 'store_unavailable' })
    await stage.deletions.remove(ID, never)
    assert.ok(!stage.objects.has(originalKey(ID)) && !stage.objects.has(recordKey(ID)))
    assert.ok([...stage.objects.keys()].some((key) => key.startsWith(INVALIDATIONS_PREFIX)))
    await assert.rejects(stage.records.record(ID, never), { code: 'original_deleted' })
  })
}
