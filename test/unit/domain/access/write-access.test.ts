import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertHoldsToken, assertTokensConfigured } from '../../../../src/domain/access/write-access.ts'

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
