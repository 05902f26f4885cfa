import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoize } from '../../../../src/service/tools/memoize.ts'

test('A remembered result is not computed again, and one that found no room is', () => {
  const computed: string[] = []
  const upper = memoize((text) => {
    computed.push(text)
    return { text: text.toUpperCase() }
  }, 3000)
  for (const text of ['a', 'a', 'b', 'a']) assert.equal(upper(text).text, text.toUpperCase())
  assert.deepEqual(computed, ['a', 'b'])
  // Room is for two.
  upper('c')
  upper('b')
  assert.deepEqual(computed, ['a', 'b', 'c', 'b'])
  // What is larger than all the room is computed all the same.
  assert.equal(upper('d'.repeat(2000)).text, 'D'.repeat(2000))
})

test('What a function throws is thrown each time', () => {
  let calls = 0
  const failing = memoize(() => {
    calls += 1
    throw new Error(`call ${calls}`)
  }, 3000)
  assert.throws(() => failing('a'), /call 1/)
  assert.throws(() => failing('a'), /call 2/)
})
