import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { originForm } from '../../src/http/request-target.ts'
import { parseAnswers, rawExchange } from '../support/raw-exchange.ts'
import { answerOwn, setStage } from '../support/stand-in-node.ts'

const PIECES = ['/', '/', '..', '..', '.', '%2e', '%2E%2e', '%2f', '%2F', 'a', 'image', '%25', '%23', '%3f', '\\', ';']
const ODD_PIECES = ['%', '%0', '%00', '%zz', '%4', '#', '?', '//', '%ff', '%5c', '/../']

/** The same cases in every run. */
const SEED = 20_261_123

test('The node takes the same paths for correct ones that nginx does', async (t) => {
  const { nginx } = await setStage(t, answerOwn)
  const piece = fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom(...PIECES) },
    { weight: 1, arbitrary: fc.constantFrom(...ODD_PIECES) },
  )
  const statuses = new Map<number, number>()
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { minLength: 1, maxLength: 12 }), async (pieces) => {
      const target = `/${pieces.join('')}`
      const text = `GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`
      const [answer] = parseAnswers(await rawExchange(nginx.origin, text))
      const status = answer?.status ?? 0
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
      assert.equal(status, originForm(target) === undefined ? 400 : 299, target)
    }),
    { seed: SEED, numRuns: 1500 },
  )
  for (const status of [299, 400]) assert.ok((statuses.get(status) ?? 0) > 200, JSON.stringify([...statuses]))
})
