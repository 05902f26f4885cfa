import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  assertHoldsToken,
  assertTokensConfigured,
  isLoopback,
  startGreeting,
  type TokenSettings,
  tokenSource,
} from '../../../../src/domain/access/write-access.ts'

const ACCESS = { tokens: ['the first token of two', 'thesecondtoken'] }
const REFUSED = { name: 'RequestError', code: 'token_required' }

test('Every one of the tokens is accepted', () => {
  for (const authorization of ['Bearer thesecondtoken', 'bearer thesecondtoken', 'BEARER   thesecondtoken ']) {
    assertHoldsToken('upload', authorization, ACCESS)
  }
})

for (const authorization of [
  undefined,
  '',
  'Bearer',
  'Bearer ',
  'Bearer thesecondtoke',
  'Bearer thesecondtokenn',
  'Bearer THESECONDTOKEN',
  'Bearer the first token of two thesecondtoken',
  'Basic thesecondtoken',
  'thesecondtoken',
  'Bearerthesecondtoken',
]) {
  test(`${JSON.stringify(authorization)} is refused`, () => {
    assert.throws(() => assertHoldsToken('upload', authorization, ACCESS), REFUSED)
  })
}

test('A refusal says what was refused and how to send a token, and names no token', () => {
  const refusals = [
    ['upload', undefined, /^Uploading requires a token: send "Authorization: Bearer <token>"/],
    ['deletion', 'Bearer x', /^Invalid token\. Deletion requires a token: send/],
    [
      'original',
      'Basic eDp5',
      /^The Authorization header is not "Bearer <token>"\. Access to originals requires a token: send/,
    ],
    ['metadata', undefined, /^Access to private metadata \(such as EXIF\) requires a token/],
    ['record', undefined, /^With SIZE_POLICY=signed, access to image records requires a token/],
  ] as const
  for (const [wanted, authorization, message] of refusals) {
    const refuse = () => assertHoldsToken(wanted, authorization, ACCESS)
    assert.throws(refuse, { ...REFUSED, message })
    assert.throws(refuse, { message: /UPLOAD_TOKENS.*upload-token/ })
    assert.throws(refuse, { message: /^(?!.*thesecond)/ })
  }
})

test('Without tokens nothing is accepted, and the refusal names the setting and a way to fill it in', () => {
  for (const authorization of [undefined, '', 'Bearer ', 'Bearer thesecondtoken', 'Bearer undefined']) {
    assert.throws(() => assertHoldsToken('original', authorization, { tokens: [] }), {
      name: 'RequestError',
      code: 'tokens_not_configured',
      message:
        /^Access to originals requires a token, and no tokens are configured on this node: set UPLOAD_TOKENS, .*"openssl rand -hex 32"$/,
    })
  }
  assert.throws(() => assertTokensConfigured('upload', { tokens: [] }), { code: 'tokens_not_configured' })
  assertTokensConfigured('upload', ACCESS)
})

const NODE = { url: 'http://127.0.0.1:8080', tokenPath: '/srv/data/upload-token', hasPage: true }

test('The curl line reads the token from its file, and the link to the page holds it in the fragment', () => {
  const lines = startGreeting({ ...NODE, token: 'a+b/c#d-0123456789' }).split('\n')
  assert.ok(
    lines.includes(
      `  curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' -H "Authorization: Bearer $(cat /srv/data/upload-token)" http://127.0.0.1:8080/images`,
    ),
  )
  const link = new URL(lines.find((line) => line.includes('#'))?.trim() ?? '')
  assert.equal(link.pathname, '/')
  assert.equal(new URLSearchParams(link.hash.slice(1)).get('token'), 'a+b/c#d-0123456789')
})

test('Without the token the greeting names its file only', () => {
  const text = startGreeting(NODE)
  assert.ok(!text.includes('#token'))
  assert.ok(text.includes('\n  http://127.0.0.1:8080/\n'))
  assert.ok(text.includes('$(cat /srv/data/upload-token)'))
})

test('Without the page the greeting has no link', () => {
  const text = startGreeting({ ...NODE, hasPage: false, token: 'a+b/c#d-0123456789' })
  assert.ok(!text.includes('browser') && !text.includes('#token'))
  assert.match(text, /\/images\nUploads, deletions/)
})

test('A path that a shell would split or expand is quoted', () => {
  const text = startGreeting({ ...NODE, tokenPath: "/srv/it's $HOME/upload-token" })
  assert.ok(text.includes(`$(cat '/srv/it'\\''s $HOME/upload-token')`))
})

const BARE: TokenSettings = { UPLOAD_TOKENS: [], STORE: 'file:./data', ACCEL_PREFIX: '', HOST: '127.0.0.1' }

test('A bare node keeps a generated token in the folder of its store', () => {
  assert.deepEqual(tokenSource(BARE), { kind: 'file', folder: './data' })
  assert.deepEqual(tokenSource({ ...BARE, HOST: '::1', STORE: 'file:/srv/x' }), { kind: 'file', folder: '/srv/x' })
})

test('Tokens of the settings come first, whatever else is set', () => {
  const settings = { UPLOAD_TOKENS: ['a'], STORE: 's3://x', ACCEL_PREFIX: '/x/', HOST: '0.0.0.0' }
  assert.deepEqual(tokenSource(settings), { kind: 'settings', tokens: ['a'] })
})

const OBSTACLES: readonly (readonly [Partial<TokenSettings>, RegExp])[] = [
  [{ STORE: 's3://photos' }, /because STORE is an S3 bucket\./],
  [{ ACCEL_PREFIX: '/_renditions/' }, /because ACCEL_PREFIX is set\./],
  [{ HOST: '0.0.0.0' }, /because HOST is not a loopback address\./],
  [
    { STORE: 's3://photos', ACCEL_PREFIX: '/x/', HOST: '::' },
    /because STORE is an S3 bucket, ACCEL_PREFIX is set and HOST is not a loopback address\./,
  ],
]
for (const [settings, reason] of OBSTACLES) {
  test(`${JSON.stringify(settings)} without tokens only serves, and the reason is named`, () => {
    const source = tokenSource({ ...BARE, ...settings })
    assert.ok(source.kind === 'none')
    assert.match(source.reason, reason)
    assert.match(source.reason, /set UPLOAD_TOKENS, for example to the output of "openssl rand -hex 32"$/)
    assert.ok(!source.reason.includes('photos'))
  })
}

test('Only addresses that no other machine reaches are loopback', () => {
  for (const host of ['localhost', '::1', '127.0.0.1', '127.9.9.9']) assert.ok(isLoopback(host), host)
  for (const host of ['0.0.0.0', '::', '127.0.0.1.example', '10.0.0.1', '']) assert.ok(!isLoopback(host), host)
})
