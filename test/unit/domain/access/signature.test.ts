import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { assertSignature, formatSignature, parseSignature, signPath } from '../../../../src/domain/access/signature.ts'

const PATH = '/image/3f2a000000000000000000000000000000000000/400w/.webp'
const KEYS = ['the newest of the keys', 'an older key'] as const
const NOW = 1_800_000_000

function check(query: string, { path = PATH, keys = KEYS, now = NOW }: Check = {}) {
  assertSignature(path, parseSignature(new URLSearchParams(query)), { keys }, now)
}
interface Check {
  readonly path?: string
  readonly keys?: readonly string[]
  readonly now?: number
}

test('A signature is the base64url of an HMAC over the path, or over the path and its expiry', () => {
  const hmac = (text: string) => createHmac('sha256', KEYS[0]).update(text).digest('base64url')
  assert.equal(formatSignature(signPath(PATH, KEYS[0])), `s=${hmac(PATH)}`)
  assert.equal(formatSignature(signPath(PATH, KEYS[0], NOW)), `e=${NOW}&s=${hmac(`${PATH}?e=${NOW}`)}`)
})

test('A signature by any of the keys is accepted, so that keys can be rotated', () => {
  for (const key of KEYS) check(formatSignature(signPath(PATH, key)))
  assert.throws(() => check(formatSignature(signPath(PATH, 'a key that was taken away'))), {
    code: 'signature_invalid',
  })
  assert.throws(() => check(formatSignature(signPath(PATH, KEYS[1])), { keys: [KEYS[0]] }), {
    code: 'signature_invalid',
  })
  assert.throws(() => check(formatSignature(signPath(PATH, KEYS[0])), { keys: [] }), { code: 'signature_invalid' })
})

test('A signature holds until its expiry, which cannot be changed', () => {
  const query = formatSignature(signPath(PATH, KEYS[0], NOW))
  check(query, { now: NOW - 1 })
  for (const now of [NOW, NOW + 1]) assert.throws(() => check(query, { now }), { code: 'signature_expired' })
  const later = query.replace(String(NOW), String(NOW + 1000))
  assert.throws(() => check(later, { now: NOW - 1 }), { code: 'signature_invalid' })
  assert.throws(() => check(query.replace(/^e=\d+&/, ''), { now: NOW - 1 }), { code: 'signature_invalid' })
  assert.throws(() => check(`e=${NOW}&${formatSignature(signPath(PATH, KEYS[0]))}`, { now: 0 }), {
    code: 'signature_invalid',
  })
})

test('A forged signature that has expired as well is called invalid, not expired', () => {
  assert.throws(() => check(`e=1&s=${'A'.repeat(43)}`), { code: 'signature_invalid' })
})

test('A signature is of one path only', () => {
  const query = formatSignature(signPath(PATH, KEYS[0]))
  assert.throws(() => check(query, { path: PATH.replace('400w', '401w') }), { code: 'signature_invalid' })
  assert.throws(() => check(query, { path: PATH.replace('webp', 'avif') }), { code: 'signature_invalid' })
})

const { signature } = signPath(PATH, KEYS[0])
const MALFORMED = {
  'no signature': '',
  'an empty signature': 's=',
  'another one of the same length': `s=${'A'.repeat(43)}`,
  'a shorter one': `s=${signature.slice(1)}`,
  'two signatures': `s=${signature}&s=${signature}`,
  'two expiries': `s=${signature}&e=1900000000&e=1900000000`,
  'an expiry that is no number': `s=${signature}&e=soon`,
  'an empty expiry': `s=${signature}&e=`,
  'a negative expiry': `s=${signature}&e=-1`,
  'an expiry with a fraction': `s=${signature}&e=1900000000.5`,
  'other characters in between, which decoders skip': `s=${signature.slice(0, 10)}!!${signature.slice(10)}`,
  'padding behind it': `s=${signature}=`,
} as const
for (const [name, query] of Object.entries(MALFORMED)) {
  test(`A URL with ${name} is refused`, () => {
    assert.throws(() => check(query), { name: 'RequestError', code: 'signature_invalid' })
  })
}
