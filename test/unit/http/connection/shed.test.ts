import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createTurnstile } from '../../../../src/http/connection/shed.ts'

test('One task begins in a turn of the event loop, at once, and the others in order in the turns after it', async () => {
  const begun: number[] = []
  const pass = createTurnstile()
  for (const task of [1, 2, 3]) pass(() => void begun.push(task))
  assert.deepEqual(begun, [1])
  await turn()
  assert.deepEqual(begun, [1, 2])
  pass(() => void begun.push(4))
  await turn()
  await turn()
  assert.deepEqual(begun, [1, 2, 3, 4])
  await turn()
  pass(() => void begun.push(5))
  assert.deepEqual(begun, [1, 2, 3, 4, 5])
})

test('A task that adds others does not hold up the turn', async () => {
  const pass = createTurnstile()
  let begun = 0
  const again = () => {
    begun += 1
    if (begun < 5) pass(again)
  }
  pass(again)
  assert.equal(begun, 1)
  for (let turns = 0; turns < 5; turns += 1) await turn()
  assert.equal(begun, 5)
})
