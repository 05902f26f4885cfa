import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseInfo } from '../../../../src/domain/info/image-info.ts'
import { infoKey, infoKeys, originalKey } from '../../../../src/domain/stored/store-layout.ts'
import { UnavailableError } from '../../../../src/errors.ts'
import { original } from '../../../support/memory-engine.ts'
import { createStage, idOf, never } from '../../../support/service-stage.ts'

const BYTES = original()
const ID = idOf(BYTES)

test('An upload is measured in the background, and the store keeps it for all nodes', async () => {
  const stage = createStage()
  await stage.upload(BYTES)
  const info = await stage.infos.info(ID, never)
  await stage.infos.stop()
  assert.equal(stage.objects.get(infoKey(ID))?.contentType, 'application/json')
  assert.deepEqual(parseInfo(String(stage.objects.get(infoKey(ID))?.bytes)), info)
  const other = createStage({ store: stage.memory })
  assert.deepEqual(await other.infos.info(ID, never), info)
  assert.equal(other.engine.measured, 0)
  assert.deepEqual(other.asked, [`open ${infoKey(ID)}`], 'and not the original')
})

test('The background has measured and written before it says that it is done', async () => {
  const stage = createStage()
  await stage.upload(BYTES)
  await stage.infos.make(ID)
  await stage.infos.stop()
  assert.equal(stage.infos.pending, 0)
  assert.ok(stage.objects.has(infoKey(ID)))
  assert.equal(stage.engine.measured, 1)
})

test('An image that was uploaded before there were infos is measured for the first who ask, once', async () => {
  const stage = createStage()
  await stage.plant(BYTES)
  const all = await Promise.all(Array.from({ length: 5 }, () => stage.infos.info(ID, never)))
  assert.ok(all.every((info) => info.picture.perceptualHash === '0123456789abcdef'))
  await stage.infos.info(ID, never)
  assert.equal(stage.engine.measured, 1)
  await stage.infos.stop()
  assert.ok(stage.objects.has(infoKey(ID)))
})

test('A store that takes nothing costs the time to measure, once, and the operator hears of it', async () => {
  const stage = createStage()
  await stage.plant(BYTES)
  const other = original({ padding: 'another' })
  await stage.plant(other)
  stage.store.put = () => Promise.reject(new UnavailableError('store_full', 'Read only'))
  await stage.infos.info(ID, never)
  await stage.infos.info(ID, never)
  await stage.infos.info(idOf(other), never)
  await stage.infos.stop()
  assert.equal(stage.engine.measured, 2)
  assert.equal(stage.troubles.filter((message) => message.includes('could not be written')).length, 1)
})

for (const [name, text] of Object.entries({
  'half of one': '{"picture":{"perce',
  'no JSON': 'not json',
  'another thing': '{"picture":{"perceptualHash":"0"},"capture":{}}',
  null: 'null',
  'too large': ' '.repeat(70_000),
})) {
  test(`What the store has for an info and is ${name} is measured again, and mended`, async () => {
    const stage = createStage()
    await stage.plant(BYTES)
    const bytes = Buffer.from(text)
    stage.objects.set(infoKey(ID), { bytes, contentType: 'application/json', md5: '', modifiedAt: new Date(0) })
    const info = await stage.infos.info(ID, never)
    assert.equal(stage.engine.measured, 1)
    await stage.infos.stop()
    assert.deepEqual(parseInfo(String(stage.objects.get(infoKey(ID))?.bytes)), info)
  })
}

test('A deletion removes the info, and what memory knows of it', async () => {
  const stage = createStage()
  await stage.upload(BYTES)
  await stage.infos.info(ID, never)
  while (stage.infos.pending > 0) await new Promise(setImmediate)
  assert.ok(stage.objects.has(infoKey(ID)))
  await stage.deletions.remove(ID, never)
  assert.ok(infoKeys(ID).every((key) => !stage.objects.has(key)))
  await assert.rejects(stage.infos.info(ID, never), { code: 'original_deleted' })
})

test('An info on its way into the store while its image is deleted is taken back', async () => {
  const stage = createStage()
  await stage.plant(BYTES)
  const put = stage.store.put
  stage.store.put = async (key, ...rest) => {
    if (key === infoKey(ID)) await stage.deletions.remove(ID, never)
    return await put(key, ...rest)
  }
  await stage.infos.info(ID, never)
  while (stage.infos.pending > 0) await new Promise(setImmediate)
  assert.ok(!stage.objects.has(infoKey(ID)))
  assert.ok(!stage.objects.has(originalKey(ID)))
})

test('Of a broken original the one who asks hears, and the background says nothing', async () => {
  const stage = createStage()
  const broken = original({ broken: true })
  const id = await stage.plant(broken)
  await stage.infos.make(id)
  assert.deepEqual(stage.troubles, [])
  await assert.rejects(stage.infos.info(id, never), { code: 'original_broken' })
})

test('Who leaves gets no answer, and a node that stops measures nothing ahead', async () => {
  const stage = createStage()
  await stage.plant(BYTES)
  const gone = new Error('gone')
  await assert.rejects(stage.infos.info(ID, AbortSignal.abort(gone)), gone)
  await stage.infos.stop()
  await stage.infos.make(ID)
  assert.equal(stage.engine.measured, 0)
})
