import assert from 'node:assert/strict'
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import { type TestContext, test } from 'node:test'
import { assertSignature, isOneOf, signPath } from '../../../../src/domain/access/signature.ts'
import { holdsToken } from '../../../../src/domain/access/write-access.ts'

/** Every comparison from now on: how many bytes it went over. One that goes another way is not among them. */
function comparisons(t: TestContext, compare: () => unknown): readonly number[] {
  const spy = t.mock.method(crypto, 'timingSafeEqual')
  syncBuiltinESMExports()
  try {
    compare()
    return spy.mock.calls.map(({ arguments: [one] }) => one.byteLength)
  } catch {
    return spy.mock.calls.map(({ arguments: [one] }) => one.byteLength)
  } finally {
    spy.mock.restore()
    syncBuiltinESMExports()
  }
}

const TOKENS = ['the-first-token-of-this-test', 'another-token', 'the-third-token-of-this-test'] as const
const [FIRST] = TOKENS
const GUESSES = {
  'the token': FIRST,
  'wrong in its first byte': `x${FIRST.slice(1)}`,
  'wrong in its last byte': `${FIRST.slice(0, -1)}x`,
  'of another length': FIRST.slice(0, 5),
  'nothing alike': 'q',
  'the last token': TOKENS[2],
} as const

for (const [name, guess] of Object.entries(GUESSES)) {
  test(`A token that is ${name} is compared with each of them, by the whole of a hash`, (t) => {
    assert.deepEqual(
      comparisons(t, () => holdsToken(`Bearer ${guess}`, { tokens: TOKENS })),
      [32, 32, 32],
    )
  })
}

test('A signature is compared with that of each key, whole, wherever it is wrong and whichever is right', (t) => {
  const keys = ['the-first-key-of-this-test', 'the-second-key-of-this-test']
  const right = keys.map((key) => signPath('/image/x/400w', key).signature)
  const wrong = right.flatMap((text) => [`-${text.slice(1)}`, `${text.slice(0, -1)}-`])
  for (const signature of [...right, ...wrong]) {
    const compare = () => assertSignature('/image/x/400w', { signature }, { keys }, 0)
    assert.deepEqual(comparisons(t, compare), [43, 43], signature)
  }
})

test('A text is compared with every secret of its length', (t) => {
  assert.deepEqual(
    comparisons(t, () => isOneOf('aaaa', ['aaaa', 'aaab', 'baaa', 'aa'])),
    [4, 4, 4],
  )
})
