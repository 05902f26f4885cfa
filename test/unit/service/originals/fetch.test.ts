import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import type { ByteRange } from '../../../../src/domain/caching/http-caching.ts'
import { deletedKey } from '../../../../src/domain/stored/store-layout.ts'
import { UnavailableError } from '../../../../src/errors.ts'
import { FACTS, original } from '../../../support/memory-engine.ts'
import { createMemoryStore } from '../../../support/memory-store.ts'
import { createStage, idOf, never } from '../../../support/service-stage.ts'

type Stage = ReturnType<typeof createStage>

const fetches = ({ asked }: Stage) => asked.filter((call) => call.startsWith('open originals/')).length

/** Lets the store answer the next reads of originals with these bodies, then as before. */
function answerWith(stage: Stage, ...bodies: (() => Readable)[]): void {
  const { open } = stage.store
  stage.store.open = async (key, signal) => {
    const object = await open(key, signal)
    const body = key.startsWith('originals/') && object ? bodies.shift() : undefined
    return object && body ? { ...object, body: body() } : object
  }
}
const cut = () =>
  new Readable({
    read() {
      this.destroy(new UnavailableError('store_unavailable', 'cut'))
    },
  })
const wrong = () => Readable.from([original({ alpha: true })])

test('An original is fetched once, and kept on disk', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  for (let times = 0; times < 2; times += 1) {
    const { source, facts } = await stage.originals.ready({ id }, never)
    assert.deepEqual(source, { path: `originals/${id}` })
    assert.deepEqual(facts, FACTS)
  }
  assert.equal(fetches(stage), 1)
  assert.deepEqual([...stage.disk.files.keys()], [`originals/${id}`])
})

for (const [name, body] of Object.entries({ 'was cut': cut, 'is that of another image': wrong })) {
  test(`A body that ${name} is fetched once more`, async () => {
    const stage = createStage()
    const id = await stage.plant(original())
    answerWith(stage, body)
    await stage.originals.ready({ id }, never)
    assert.equal(fetches(stage), 2)
  })

  test(`A body that ${name} is not fetched once more from a store that has had its retries`, async () => {
    const stage = createStage()
    const id = await stage.plant(original())
    answerWith(stage, body)
    const { open } = stage.store
    stage.store.open = async (key, signal) => {
      const object = await open(key, signal)
      return object && { ...object, takeRetry: () => false }
    }
    await assert.rejects(stage.originals.ready({ id }, never), { name: 'BodyError', code: 'store_unavailable' })
    assert.equal(fetches(stage), 1)
  })

  test(`A body that ${name} twice is no 404 but unavailable, leaves nothing behind, and may be right later`, async () => {
    const stage = createStage()
    const id = await stage.plant(original())
    answerWith(stage, body, body)
    await assert.rejects(stage.originals.ready({ id }, never), { name: 'BodyError', code: 'store_unavailable' })
    assert.equal(fetches(stage), 2)
    assert.deepEqual([...stage.disk.files.keys()], [])
    await stage.originals.ready({ id }, never)
  })
}

test('Wrong bytes are told to the operator with the id of the image', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  answerWith(stage, wrong, wrong)
  await assert.rejects(stage.originals.ready({ id }, never))
  assert.equal(stage.troubles.filter((message) => message.includes(id)).length, 2)
})

test('An original that is not there is a 404, for which the store is asked once a tenth of a second', async () => {
  const stage = createStage()
  const id = idOf(original())
  const began = performance.now()
  for (let times = 0; times < 3; times += 1) {
    const refused = { name: 'OriginalError', code: 'original_not_found' }
    await Promise.all(Array.from({ length: 50 }, () => assert.rejects(stage.originals.ready({ id }, never), refused)))
  }
  assert.ok(fetches(stage) <= 1 + Math.ceil((performance.now() - began) / 100), `${fetches(stage)} fetches`)
})

test('An upload by another node is found by a request that arrives while the store is asked', async () => {
  const store = createMemoryStore()
  const [stage, other] = [createStage({ store }), createStage({ store })]
  const id = idOf(original())
  const { open } = stage.store
  const [isAsked, mayAnswer] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  stage.store.open = async (key, signal) => {
    const object = await open(key, signal)
    isAsked.resolve()
    await mayAnswer.promise
    return object
  }
  const early = assert.rejects(stage.originals.ready({ id }, never), { code: 'original_not_found' })
  await isAsked.promise
  await other.upload(original())
  const late = stage.originals.ready({ id }, never)
  mayAnswer.resolve()
  await early
  assert.deepEqual((await late).facts, FACTS)
})

test('An upload ends a remembered absence on its own node at once', async () => {
  const stage = createStage()
  await assert.rejects(stage.originals.ready({ id: idOf(original()) }, never), { code: 'original_not_found' })
  await stage.upload(original())
  await stage.originals.ready({ id: idOf(original()) }, never)
})

test('A deleted original is a 410', async () => {
  const stage = createStage()
  const id = idOf(original())
  await stage.store.put(deletedKey(id), { bytes: Buffer.alloc(0) }, EMPTY, never)
  await assert.rejects(stage.originals.ready({ id }, never), { name: 'OriginalError', code: 'original_deleted' })
})
const EMPTY = { contentType: 'text/plain', sizeBytes: 0, md5: 'd41d8cd98f00b204e9800998ecf8427e' } as const

test('With the disk full an original is held in memory, for those who come next too', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  stage.disk.full = true
  for (let times = 0; times < 2; times += 1) {
    const { source } = await stage.originals.ready({ id }, never)
    assert.deepEqual(source, { bytes: original() })
  }
  assert.equal(fetches(stage), 2, 'the first body was lost with the refusal of the disk')
})

test('An original that the disk takes but does not let be moved in is held in memory', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  stage.cache.adoptOriginal = async () => undefined
  const { source } = await stage.originals.ready({ id }, never)
  assert.deepEqual(source, { bytes: original() })
  assert.deepEqual([...stage.disk.files.keys()], [])
})

test('A file that is no image is not believed: the original is fetched anew', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  stage.disk.files.set(`originals/${id}`, Buffer.alloc(100))
  assert.deepEqual((await stage.originals.ready({ id }, never)).facts, FACTS)
  assert.deepEqual(stage.disk.files.get(`originals/${id}`), original())
})

test('An original that is not read any more costs the store one fetch in some seconds, however many ask', async () => {
  const stage = createStage()
  const id = await stage.plant(Buffer.from('of a format that was switched off'))
  for (let times = 0; times < 5; times += 1) {
    await assert.rejects(stage.originals.ready({ id }, never), { name: 'OriginalError', code: 'original_unsupported' })
  }
  assert.equal(fetches(stage), 1)
})

test('An original that was deleted while it was fetched is not kept', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  const { adoptOriginal } = stage.cache
  stage.cache.adoptOriginal = async (...args) => {
    await stage.watch.forget(new Set([id]))
    return await adoptOriginal(...args)
  }
  await assert.rejects(stage.originals.ready({ id }, never), { code: 'original_deleted' })
  assert.deepEqual([...stage.disk.files.keys()], [])
})

async function bytesOf(stage: Stage, id: string, sizeBytes: number, range?: ByteRange): Promise<Buffer> {
  const body = await stage.originals.open({ id, sizeBytes, range }, never)
  return body instanceof Readable ? await buffer(body) : body
}

test('The bytes are read back as they were uploaded, from the disk or from memory', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  const { length } = original()
  assert.deepEqual(await bytesOf(stage, id, length), original())
  assert.deepEqual(await bytesOf(stage, id, length, { start: 3, end: 9 }), original().subarray(3, 10))
  assert.equal(fetches(stage), 1)
  stage.disk.files.clear()
  stage.disk.full = true
  assert.deepEqual(await bytesOf(stage, id, length), original())
  assert.deepEqual(await bytesOf(stage, id, length, { start: 3, end: 9 }), original().subarray(3, 10))
})

for (const [name, bytes] of Object.entries({
  'no image that is read now': Buffer.from('no picture'),
  'larger than an upload may be now': original({ padding: 'x'.repeat(2000) }),
})) {
  test(`The bytes of an original that is ${name} are read back all the same, and it is not rendered`, async () => {
    const stage = createStage()
    const id = await stage.plant(bytes)
    const refused = async () =>
      await assert.rejects(stage.originals.ready({ id }, never), { code: /^original_(?:unsupported|too_large)$/ })
    await refused()
    assert.deepEqual(await bytesOf(stage, id, bytes.length), bytes)
    stage.clock.ms += 10_000
    assert.deepEqual(await bytesOf(stage, id, bytes.length), bytes)
  })
}

test('Bytes that are read back are checked against their id, and a file of another size is fetched anew', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  answerWith(stage, wrong, wrong)
  await assert.rejects(bytesOf(stage, id, original().length), { code: 'store_unavailable' })
  stage.disk.files.set(`originals/${id}`, original().subarray(1))
  assert.deepEqual(await bytesOf(stage, id, original().length), original())
  assert.deepEqual(stage.disk.files.get(`originals/${id}`), original())
})

test('A store that is down is unavailable, and asked again by the next', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  const { open } = stage.store
  stage.store.open = async () => {
    throw new UnavailableError('store_unavailable', 'down')
  }
  await assert.rejects(stage.originals.ready({ id }, never), { code: 'store_unavailable' })
  stage.store.open = open
  await stage.originals.ready({ id }, never)
})
