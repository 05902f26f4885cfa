import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { imageIdFromSha256, isImageId } from '../../../../src/domain/identity/image-id.ts'
import {
  deletedKey,
  infoKey,
  infoKeys,
  invalidationKey,
  invalidationsSince,
  mezzanineKey,
  mezzanineKeys,
  originalKey,
  parseInvalidationKey,
  recordKey,
} from '../../../../src/domain/stored/store-layout.ts'

const ID = '3f2a'.padEnd(40, '0')
const ids = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'.split('')), minLength: 40, maxLength: 40 })
const times = fc.integer({ min: 0, max: 4_000_000_000_000 })

test('An id is the first 40 digits of the hash, in lower case', () => {
  assert.equal(imageIdFromSha256('AB'.repeat(32)), 'ab'.repeat(20))
  assert.ok(isImageId(ID))
  for (const text of ['', ID.slice(1), `${ID}0`, ID.toUpperCase(), `${ID}\n`, '../'.padEnd(40, '0')]) {
    assert.ok(!isImageId(text), JSON.stringify(text))
  }
})

test('Keys are spread over two levels of folders', () => {
  assert.equal(originalKey(ID), `originals/3f/2a/${ID}`)
  assert.equal(recordKey(ID), `records/3f/2a/${ID}.json`)
  assert.equal(deletedKey(ID), `deleted/3f/2a/${ID}`)
  assert.equal(infoKey(ID, 1), `infos/3f/2a/${ID}/1.json`)
  assert.ok(infoKeys(ID).includes(infoKey(ID)))
  assert.equal(invalidationKey({ id: ID, time: 1_800_000_000_000 }), `invalidations/001800000000000-${ID}`)
})

test('A deletion after a change of version finds the mezzanines of earlier versions', () => {
  assert.ok(mezzanineKeys(ID).includes(mezzanineKey(ID, 768)))
  for (const version of [1, 2, 3]) {
    assert.ok(mezzanineKeys(ID, 3).includes(`mezzanines/3f/2a/${ID}/${version}-768`))
    assert.ok(mezzanineKeys(ID, 3).includes(`mezzanines/3f/2a/${ID}/${version}-1536`))
  }
})

test('Parsing and formatting the key of an invalidation are inverses', () => {
  fc.assert(
    fc.property(ids, times, (id, time) => {
      assert.deepEqual(parseInvalidationKey(invalidationKey({ id, time })), { id, time })
    }),
  )
})

test('Keys of invalidations sort by time, and after the mark of their own time', () => {
  fc.assert(
    fc.property(ids, times, times, (id, time, since) => {
      assert.equal(invalidationKey({ id, time }) > invalidationsSince(since), time >= since)
    }),
  )
})

test('A time before 1970 or with a fraction makes a key like any other', () => {
  assert.equal(invalidationsSince(-1), 'invalidations/000000000000000')
  assert.equal(invalidationsSince(1.9), 'invalidations/000000000000001')
})

for (const key of [
  '',
  'invalidations/',
  `invalidations/1-${ID}`,
  `invalidations/001800000000000-${ID}-x`,
  `invalidations/001800000000000-${ID.slice(1)}`,
  `invalidations/001800000000000${ID}`,
  `invalidations/x/001800000000000-${ID}`,
  `originals/001800000000000-${ID}`,
]) {
  test(`${JSON.stringify(key)} is no key of an invalidation`, () => assert.equal(parseInvalidationKey(key), undefined))
}
