import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { originForm } from '../../src/http/connection/server.ts'
import { parseAnswers, rawExchange } from '../../tools/requests/raw-exchange.ts'
import { answerOwn, setStage } from '../support/stand-in-node.ts'

const PIECES = ['/', '/', '..', '..', '.', '%2e', '%2E%2e', '%2f', '%2F', 'a', 'image', '%25', '%23', '%3f', '\\', ';']
const ODD_PIECES = ['%', '%0', '%00', '%zz', '%4', '#', '?', '//', '%ff', '%5c', '/../']
/** What may stand before a path, as to a proxy. */
const HOSTS = [
  'http://a.example',
  'https://A-b.example:80',
  'FTP://a',
  'a+b.c-d://x',
  'http://[::1]:80',
  'http://[::1',
  'http://[]',
  'http://',
  'http:/',
  '://a',
  'http://user@a',
  'http://a%20b',
  'http://a_b',
  'http://a:',
  'http://a:x',
  'http://a[b',
  'http://.',
  'a',
] as const

/** The same cases in every run. */
const SEED = 20_261_123

test('The node takes the same paths for correct ones that nginx does', async (t) => {
  const { nginx } = await setStage(t, answerOwn)
  const piece = fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom(...PIECES) },
    { weight: 1, arbitrary: fc.constantFrom(...ODD_PIECES) },
  )
  const path = fc.array(piece, { minLength: 1, maxLength: 12 }).map((pieces) => `/${pieces.join('')}`)
  const rest = fc.oneof({ weight: 3, arbitrary: path }, fc.constantFrom('', '?x', '#x', '?', '/?', ' /'))
  const target = fc.oneof(
    { weight: 4, arbitrary: path },
    { weight: 1, arbitrary: fc.tuple(fc.constantFrom(...HOSTS), rest).map((parts) => parts.join('')) },
  )
  const statuses = new Map<number, number>()
  await fc.assert(
    fc.asyncProperty(target, async (text) => {
      const head = `GET ${text} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`
      const [answer] = parseAnswers(await rawExchange(nginx.origin, head))
      const status = answer?.status ?? 0
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
      const isTaken = !text.includes(' ') && originForm(text) !== undefined
      assert.equal(status, isTaken ? 299 : 400, text)
    }),
    { seed: SEED, numRuns: 2000 },
  )
  for (const status of [299, 400]) assert.ok((statuses.get(status) ?? 0) > 200, JSON.stringify([...statuses]))
})
