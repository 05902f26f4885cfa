import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { batchKey } from '../../../../src/domain/stored/outbox-batch.ts'
import {
  deletedKey,
  formatDeletionMark,
  labelKey,
  originalKey,
  recordKey,
} from '../../../../src/domain/stored/store-layout.ts'
import type { PutOptions } from '../../../../src/service/ports/store.ts'
import { putBytes } from '../../../../src/service/tools/small-object.ts'
import { original } from '../../../support/memory-engine.ts'
import { createMemoryStore } from '../../../support/memory-store.ts'
import { createStage, idOf, never } from '../../../support/service-stage.ts'

const BYTES = original({ orientation: 6 })
const ID = idOf(BYTES)
const JSON_TYPE = { contentType: 'application/json', overwrite: true }

/** Without those of the background, which begins when an upload is done. */
const puts = ({ asked }: ReturnType<typeof createStage>) => asked.filter((call) => /^put (?!infos)/.test(call))

test('An upload stores the original first, then the record, then the event, and tells what was taken in', async () => {
  const stage = createStage()
  const { record, created } = await stage.upload(BYTES)
  assert.deepEqual(record, {
    id: ID,
    width: 500,
    height: 1000,
    format: 'png',
    bytes: BYTES.length,
    alpha: false,
    frames: 1,
    uploadedAt: new Date(stage.clock.ms).toISOString(),
  })
  assert.equal(created, true)
  const event = batchKey({ time: stage.clock.ms, node: '0000000a', number: 1 })
  assert.deepEqual(puts(stage), [`put ${originalKey(ID)}`, `put ${recordKey(ID)}`, `put ${event}`])
  assert.deepEqual(stage.objects.get(originalKey(ID))?.bytes, BYTES)
  assert.equal(stage.objects.get(originalKey(ID))?.contentType, 'image/png')
  assert.deepEqual(await stage.records.record(ID, never), record)
})

test('A store that compares no MD5 gets only the SHA-256 to verify', async () => {
  for (const checksMd5 of [true, false]) {
    const memory = createMemoryStore()
    const given: PutOptions[] = []
    const put: typeof memory.put = (key, source, options, signal) => {
      if (key === originalKey(ID)) given.push(options)
      return memory.put(key, source, options, signal)
    }
    await createStage({ store: { ...memory, put, checksMd5 } }).upload(BYTES)
    const [options] = given
    assert.equal(options?.sha256?.length, 64)
    assert.equal(options?.md5?.length, checksMd5 ? 32 : undefined)
  }
})

test('Labels, name and source of the first upload are in the record, and the labels in their index', async () => {
  const stage = createStage()
  const details = { labels: ['cats', '2026'], name: 'cat.png', source: 'ftp:alice' }
  const { record } = await stage.ingest.ingest(Readable.from([BYTES]), details, never)
  assert.deepEqual({ labels: record.labels, name: record.name, source: record.source }, details)
  assert.deepEqual(await stage.records.record(ID, never), record)
  const index = ['cats', '2026'].map((label) => labelKey(label, ID))
  assert.deepEqual(
    index.map((key) => stage.objects.get(key)?.bytes.length),
    [0, 0],
  )
  const again = await stage.ingest.ingest(Readable.from([BYTES]), { labels: ['dogs'] }, never)
  assert.deepEqual(again, { record, created: false })
  assert.ok(!stage.objects.has(labelKey('dogs', ID)))
})

test('An upload that ended before its labels were indexed is completed by repeating it', async () => {
  const stage = createStage()
  await stage.ingest.ingest(Readable.from([BYTES]), { labels: ['cats'] }, never)
  stage.objects.delete(labelKey('cats', ID))
  const restarted = createStage({ store: stage.memory })
  await restarted.upload(BYTES)
  assert.ok(stage.objects.has(labelKey('cats', ID)))
})

test('After an upload the first view needs no fetch, and no spooled file is left', async () => {
  const stage = createStage()
  await stage.upload(BYTES)
  assert.deepEqual([...stage.disk.files.keys()], [`originals/${ID}`])
  await stage.originals.ready({ id: ID }, never)
  assert.ok(!stage.asked.includes(`open ${originalKey(ID)}`))
})

test('The same bytes again give the same record, and nothing is checked or written twice', async () => {
  const stage = createStage()
  const first = await stage.upload(BYTES)
  stage.clock.ms += 1000
  const second = await stage.upload(BYTES)
  assert.deepEqual(second, { record: first.record, created: false })
  assert.equal(puts(stage).length, 3)
  assert.equal(stage.engine.verified, 1)
})

test('Two nodes that take in the same bytes at once give the same record', async () => {
  const one = createStage()
  const two = createStage({ store: one.memory, clock: { ms: one.clock.ms + 5 } })
  const both = await Promise.all([one.upload(BYTES), two.upload(BYTES)])
  assert.deepEqual(both[0].record, both[1].record)
  assert.notEqual(both[0].created, both[1].created)
})

test('A crash between original and record heals at the next upload', async () => {
  const stage = createStage()
  await stage.plant(BYTES)
  assert.equal((await stage.upload(BYTES)).created, true)
  assert.equal((await stage.records.record(ID, never)).id, ID)
})

for (const [name, spoiled] of Object.entries({
  shorter: BYTES.subarray(1),
  'of the same length': Buffer.alloc(BYTES.length),
})) {
  test(`A corrupt original in the store, ${name}, is overwritten by the next upload`, async () => {
    const stage = createStage()
    await stage.upload(BYTES)
    await stage.plant(spoiled, ID)
    const { created } = await stage.upload(BYTES)
    assert.equal(created, false)
    assert.deepEqual(stage.objects.get(originalKey(ID))?.bytes, BYTES)
  })
}

test('A record that is none is replaced', async () => {
  const stage = createStage()
  await stage.plant(BYTES)
  await putBytes(stage.store, { key: recordKey(ID), bytes: Buffer.from('{"id":'), ...JSON_TYPE }, never)
  const { record, created } = await stage.upload(BYTES)
  assert.equal(created, true)
  assert.deepEqual(await stage.records.record(ID, never), record)
})

const REFUSED = {
  original_broken: original({ broken: true }),
  original_unsupported: Buffer.from('no picture'),
  original_too_large: Buffer.alloc(1001),
} as const
for (const [code, bytes] of Object.entries(REFUSED)) {
  test(`What is refused as ${code} leaves nothing in the store or on disk`, async () => {
    const stage = createStage()
    await assert.rejects(stage.upload(bytes), { name: 'OriginalError', code })
    assert.deepEqual([...stage.objects.keys(), ...stage.disk.files.keys()], [])
  })
}

test('With the disk full an upload is refused, to be tried again', async () => {
  const stage = createStage()
  stage.disk.full = true
  await assert.rejects(stage.upload(BYTES), { name: 'UnavailableError', code: 'disk_unavailable' })
  assert.deepEqual([...stage.objects.keys()], [])
})

test('An upload after a deletion brings the image back', async () => {
  const stage = createStage()
  await stage.upload(BYTES)
  await stage.deletions.remove(ID, never)
  await assert.rejects(stage.records.record(ID, never), { code: 'original_deleted' })
  assert.equal((await stage.upload(BYTES)).created, true)
  assert.equal((await stage.records.record(ID, never)).id, ID)
  assert.ok(!stage.objects.has(deletedKey(ID)))
  await stage.originals.ready({ id: ID }, never)
})

test('An upload while the same image is being deleted is refused, to be tried again', async () => {
  const stage = createStage()
  const bytes = Buffer.from(formatDeletionMark({ time: stage.clock.ms, finished: false }))
  await putBytes(stage.store, { key: deletedKey(ID), bytes, ...JSON_TYPE }, never)
  await assert.rejects(stage.upload(BYTES), { name: 'UnavailableError', code: 'store_unavailable' })
  stage.clock.ms += 60_000
  assert.equal((await stage.upload(BYTES)).record.id, ID, 'the node that deleted has crashed')
})

test('A deletion that ends while an upload writes does not take the upload away unnoticed', async () => {
  const stage = createStage()
  const { put } = stage.store
  let deletions = 1
  stage.store.put = async (key, ...rest) => {
    const outcome = await put(key, ...rest)
    if (key === recordKey(ID) && deletions > 0) {
      deletions -= 1
      await stage.deletions.remove(ID, never)
    }
    return outcome
  }
  await stage.upload(BYTES)
  assert.equal((await stage.records.record(ID, never)).id, ID)
  assert.deepEqual(stage.objects.get(originalKey(ID))?.bytes, BYTES)
})

test('While too much waits an upload is refused before its bytes are read', async () => {
  const stage = createStage()
  const place = stage.renderQueue.enter('upload', { costMs: 1_000_000 })
  const body = Readable.from([BYTES])
  await assert.rejects(stage.ingest.ingest(body, {}, never), { name: 'UnavailableError', code: 'overloaded' })
  assert.ok(body.destroyed)
  assert.deepEqual([stage.asked, stage.engine.verified], [[], 0])
  place.leave()
  await stage.upload(BYTES)
})
