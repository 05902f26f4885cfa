import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  redirectFreshness,
  remoteFreshness,
  stricterOf,
  UNLIMITED,
} from '../../../../src/adapters/hosts/remote-freshness.ts'
import type { RemoteFreshness } from '../../../../src/service/ports/remote.ts'

const YEAR = 365 * 86_400
const PLAIN = { storable: true, freshSeconds: 300, staleWhileRevalidateSeconds: 0, staleIfError: true } as const
const now = (seconds: number): string => new Date(Date.now() + seconds * 1000).toUTCString()

type Headers = Parameters<typeof remoteFreshness>[0]
const CASES: readonly (readonly [string, Headers, Partial<RemoteFreshness>])[] = [
  ['says nothing', {}, {}],
  ['says nothing, of long ago', { 'last-modified': now(-YEAR * 10), date: now(0) }, {}],
  ['says nothing, and is old', { age: '5000' }, {}],
  ['max-age', { 'cache-control': 'max-age=60' }, { freshSeconds: 60 }],
  ['max-age in capitals, quoted', { 'cache-control': 'Public, MAX-AGE="60"' }, { freshSeconds: 60 }],
  ['max-age of an old answer', { 'cache-control': 'max-age=60', age: '40' }, { freshSeconds: 20 }],
  ['max-age of a too old answer', { 'cache-control': 'max-age=60', age: '70' }, { freshSeconds: 0 }],
  ['a negative age', { 'cache-control': 'max-age=60', age: '-1000' }, { freshSeconds: 60 }],
  ['max-age of zero', { 'cache-control': 'max-age=0' }, { freshSeconds: 0 }],
  ['max-age without a value', { 'cache-control': 'max-age' }, { freshSeconds: 0 }],
  ['max-age with an empty value', { 'cache-control': 'max-age=' }, { freshSeconds: 0 }],
  ['max-age that is no number', { 'cache-control': 'max-age=soon' }, { freshSeconds: 0 }],
  ['a negative max-age', { 'cache-control': 'max-age=-60' }, { freshSeconds: 0 }],
  ['two that contradict', { 'cache-control': ['max-age=60', 'max-age=600'] }, { freshSeconds: 60 }],
  ['a very long max-age', { 'cache-control': 'max-age=99999999999999999999' }, { freshSeconds: YEAR }],
  ['s-maxage', { 'cache-control': 'max-age=60, s-maxage=90' }, { freshSeconds: 90, staleIfError: false }],
  ['Expires', { expires: now(120), date: now(0) }, { freshSeconds: 120 }],
  ['Expires of the past', { expires: now(-120), date: now(0) }, { freshSeconds: 0 }],
  ['Expires of no date', { expires: '0' }, { freshSeconds: 0 }],
  ['Expires twice', { expires: [now(120), now(120)] }, { freshSeconds: 0 }],
  ['max-age before Expires', { 'cache-control': 'max-age=60', expires: now(1000), date: now(0) }, { freshSeconds: 60 }],
  ['immutable', { 'cache-control': 'max-age=31536000, immutable' }, { freshSeconds: YEAR }],
  ['no-store', { 'cache-control': 'no-store' }, { storable: false, freshSeconds: 0, staleIfError: false }],
  ['No-Store', { 'cache-control': 'No-Store, max-age=60' }, { storable: false, freshSeconds: 0, staleIfError: false }],
  ['private', { 'cache-control': 'private, max-age=60' }, { storable: false, freshSeconds: 0, staleIfError: false }],
  [
    'private headers',
    { 'cache-control': 'private="x-user, x-id"' },
    { storable: false, freshSeconds: 0, staleIfError: false },
  ],
  ['no-cache', { 'cache-control': 'no-cache, max-age=60' }, { freshSeconds: 0, staleIfError: false }],
  ['Pragma', { pragma: 'no-cache' }, { freshSeconds: 0, staleIfError: false }],
  ['Pragma beside Cache-Control', { pragma: 'no-cache', 'cache-control': 'max-age=60' }, { freshSeconds: 60 }],
  ['must-revalidate', { 'cache-control': 'max-age=60, must-revalidate' }, { freshSeconds: 60, staleIfError: false }],
  ['proxy-revalidate', { 'cache-control': 'max-age=60, proxy-revalidate' }, { freshSeconds: 60, staleIfError: false }],
  ['must-revalidate alone', { 'cache-control': 'must-revalidate' }, { staleIfError: false }],
  [
    'stale-while-revalidate',
    { 'cache-control': 'max-age=60, stale-while-revalidate=30' },
    { freshSeconds: 60, staleWhileRevalidateSeconds: 30 },
  ],
  [
    'stale-while-revalidate beside s-maxage',
    { 'cache-control': 's-maxage=60, stale-while-revalidate=30, stale-if-error=60' },
    { freshSeconds: 60, staleWhileRevalidateSeconds: 30 },
  ],
  [
    'stale-while-revalidate beside must-revalidate',
    { 'cache-control': 'max-age=60, stale-while-revalidate=30, must-revalidate' },
    { freshSeconds: 60, staleIfError: false },
  ],
  [
    'stale-if-error of zero',
    { 'cache-control': 'max-age=60, stale-if-error=0' },
    { freshSeconds: 60, staleIfError: false },
  ],
  ['Vary of our headers', { 'cache-control': 'max-age=60', vary: 'Accept, Cookie' }, { freshSeconds: 60 }],
  ['Vary of anything', { 'cache-control': 'max-age=60', vary: '*' }, { freshSeconds: 0, staleIfError: false }],
  ['Vary of anything among others', { vary: ['Accept', 'Cookie, *'] }, { freshSeconds: 0, staleIfError: false }],
  ['a cookie', { 'cache-control': 'max-age=60', 'set-cookie': ['a=b'] }, { freshSeconds: 60 }],
  [
    'a cookie with a public answer',
    { 'cache-control': 'public, max-age=60', 'set-cookie': ['a=b'] },
    { freshSeconds: 60 },
  ],
  ['rubbish', { 'cache-control': ';;,=,"", =60', expires: undefined }, {}],
]
for (const [name, headers, expected] of CASES) {
  test(`freshness: ${name}`, () => assert.deepEqual(remoteFreshness(headers, 300), { ...PLAIN, ...expected }))
}

test('with a default of zero an answer that says nothing has to be asked for every time', () => {
  assert.deepEqual(remoteFreshness({}, 0), { ...PLAIN, freshSeconds: 0 })
})

test('a redirection limits what it leads to, unless it is permanent and says nothing', () => {
  assert.deepEqual(redirectFreshness(301, {}, 300), UNLIMITED)
  assert.deepEqual(redirectFreshness(308, {}, 300), UNLIMITED)
  assert.deepEqual(redirectFreshness(302, {}, 300), PLAIN)
  assert.equal(redirectFreshness(301, { 'cache-control': 'max-age=5' }, 300).freshSeconds, 5)
  assert.equal(redirectFreshness(301, { pragma: 'no-cache' }, 300).freshSeconds, 0)
  assert.equal(redirectFreshness(302, { 'cache-control': 'no-store' }, 300).storable, false)
  const target = remoteFreshness({ 'cache-control': 'max-age=1000, stale-while-revalidate=9' }, 300)
  assert.deepEqual(stricterOf(UNLIMITED, target), target)
  assert.deepEqual(stricterOf(redirectFreshness(302, {}, 300), target), PLAIN)
})

test('whatever a host says, the times are whole seconds of a year at most', () => {
  const text = fc.oneof(
    fc.string(),
    fc
      .array(
        fc.constantFrom('max-age=', 's-maxage=', 'public', ',', '=', '"', '9', '-1', 'stale-while-revalidate=', ' '),
      )
      .map((parts) => parts.join('')),
  )
  const headers = fc.record(
    { 'cache-control': text, age: text, expires: text, date: text, vary: text },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(headers, (said) => {
      const { freshSeconds, staleWhileRevalidateSeconds } = remoteFreshness(said, 300)
      for (const seconds of [freshSeconds, staleWhileRevalidateSeconds]) {
        assert.ok(Number.isInteger(seconds) && seconds >= 0 && seconds <= YEAR, `${seconds}`)
      }
    }),
  )
})
