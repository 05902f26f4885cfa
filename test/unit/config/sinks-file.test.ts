import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseSinks } from '../../../src/config/sinks-file.ts'

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const sink = (lines: string) => `sinks:\n  indexer:\n    ${lines.replaceAll('; ', '\n    ')}\n`
const WHOLE = sink('url: https://indexer.example/events; secret: ${INDEXER_SECRET}')

test('A sink has a name, a URL, and one secret or two', () => {
  const [one] = parseSinks(WHOLE, { INDEXER_SECRET: SECRET })
  assert.deepEqual([one?.name, one?.url, one?.secrets.length], ['indexer', 'https://indexer.example/events', 1])
  const [two] = parseSinks(WHOLE, { INDEXER_SECRET: ` ${SECRET}  ${SECRET}x2Y ` })
  assert.equal(two?.secrets.length, 2)
  assert.deepEqual(parseSinks('sinks: {}', {}), [])
})

const MISTAKES = {
  'sinks: [': /^SINKS_FILE: /,
  'sinks: 3': /SINKS_FILE.sinks: should be a map from names to sinks/,
  'other: {}': /SINKS_FILE/,
  [sink('url: ftp://a.example; secret: $S')]: /sinks.indexer.url: should be a URL such as https:/,
  [sink('url: https://user:secret@a.example; secret: $S')]: /should be without user name and password/,
  [sink(`url: https://a.example; secret: ${SECRET}`)]: /indexer.secret: should name an environment variable/,
  [sink('url: https://a.example; secret: $NOTHING')]: /the environment variable NOTHING is not set/,
  [sink('url: https://a.example; secret: $SHORT')]: /SHORT should be whsec_ and the base64 of at least 24 bytes/,
  [sink('url: https://a.example; secret: $S; retries: 3')]: /retries/,
  'sinks:\n  A_B:\n    url: https://a.example\n    secret: $S\n': /A_B: a name should have 1 to 63 lower-case/,
} as const
for (const [text, message] of Object.entries(MISTAKES)) {
  test(`${JSON.stringify(text)} is refused with the reason, without the secret`, () => {
    assert.throws(
      () => parseSinks(text, { S: SECRET, SHORT: 'whsec_c2hvcnQ=' }),
      (error: Error) => message.test(error.message) && !/MfKQ|c2hvcnQ/.test(error.message),
    )
  })
}
