import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createTurnstile } from '../../../../src/http/connection/turnstile.ts'

const ONE = { group: 'others', client: '192.0.2.1' } as const

test('One task begins in a turn of the event loop, at once, and the others in order in the turns after it', async () => {
  const begun: number[] = []
  const pass = createTurnstile()
  for (const task of [1, 2, 3]) pass(ONE, () => void begun.push(task))
  assert.deepEqual(begun, [1])
  await turn()
  assert.deepEqual(begun, [1, 2])
  pass(ONE, () => void begun.push(4))
  await turn()
  await turn()
  assert.deepEqual(begun, [1, 2, 3, 4])
  await turn()
  pass(ONE, () => void begun.push(5))
  assert.deepEqual(begun, [1, 2, 3, 4, 5])
})

test('A task that adds others does not hold up the turn', async () => {
  const pass = createTurnstile()
  let begun = 0
  const again = () => {
    begun += 1
    if (begun < 5) pass(ONE, again)
  }
  pass(ONE, again)
  assert.equal(begun, 1)
  for (let turns = 0; turns < 5; turns += 1) await turn()
  assert.equal(begun, 5)
})

test('Clients that are known and others take turns, and the clients of each', async () => {
  const pass = createTurnstile()
  const begun: string[] = []
  const enter = (group: 'known' | 'others', client: string) => pass({ group, client }, () => void begun.push(client))
  for (let stranger = 0; stranger < 100; stranger += 1) enter('others', `stranger ${stranger}`)
  for (let count = 0; count < 10; count += 1) enter('known', 'crawler')
  enter('known', 'viewer')
  for (let turns = 0; turns < 5; turns += 1) await turn()
  assert.ok(begun.includes('viewer'), begun.join(', '))
  for (let turns = 0; turns < 110; turns += 1) await turn()
  assert.equal(begun.length, 111)
})
