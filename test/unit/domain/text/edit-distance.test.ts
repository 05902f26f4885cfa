import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { editDistance, nearestWord } from '../../../../src/domain/text/edit-distance.ts'

const DISTANCES = [
  ['', '', 0],
  ['cover', 'cover', 0],
  ['covr', 'cover', 1],
  ['coverr', 'cover', 1],
  ['cuver', 'cover', 1],
  ['covre', 'cover', 2],
  ['top', 'up', 2],
  ['kitten', 'sitting', 3],
  ['', 'fill', 4],
] as const
for (const [from, to, distance] of DISTANCES) {
  test(`"${from}" is ${distance} from "${to}", and the other way round`, () => {
    assert.equal(editDistance(from, to), distance)
    assert.equal(editDistance(to, from), distance)
  })
}

test('A distance is 0 for the same word only, and never more than the longer word has letters', () => {
  const words = fc.string({ maxLength: 12 })
  fc.assert(
    fc.property(words, words, (from, to) => {
      const distance = editDistance(from, to)
      assert.equal(distance === 0, from === to)
      assert.ok(distance <= Math.max(from.length, to.length))
      assert.ok(distance >= Math.abs(from.length - to.length))
    }),
  )
})

test('The nearest word is found only within the distance, and not for a text of any length', () => {
  assert.equal(nearestWord('covre', ['contain', 'cover', 'fill'], 2), 'cover')
  assert.equal(nearestWord('nonsense', ['contain', 'cover', 'fill'], 2), undefined)
  assert.equal(nearestWord('', ['up'], 1), undefined)
  assert.equal(nearestWord('cover'.repeat(20_000), ['contain', 'cover', 'fill'], 2), undefined)
})
