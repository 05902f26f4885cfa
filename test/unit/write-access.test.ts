import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertMayWrite, type Caller } from '../../src/domain/write-access.ts'

const LOCAL: Caller = { peer: '127.0.0.1', host: 'localhost:8080', forwarded: false }
const REFUSED = { name: 'RequestError', code: 'token_required' }

const OPEN_TO: Readonly<Record<string, Partial<Caller>>> = {
  'this machine': {},
  'this machine over IPv6': { peer: '::1', host: '[::1]:8080' },
  'this machine over a socket of both kinds': { peer: '::ffff:127.0.0.1', host: '127.0.0.1:8080' },
  'another loopback address': { peer: '127.1.2.3', host: '127.1.2.3' },
  'a host without a port': { host: 'localhost' },
  'a host in capitals': { host: 'LOCALHOST:8080' },
  'its own page': { origin: 'http://localhost:8080' },
  'a token that nobody asked for': { authorization: 'Bearer whatever' },
}
for (const [name, caller] of Object.entries(OPEN_TO)) {
  test(`Without tokens writing is open to ${name}`, () => {
    assertMayWrite({ ...LOCAL, ...caller }, { tokens: [] })
  })
}

const CLOSED_TO: Readonly<Record<string, Partial<Caller>>> = {
  'another machine': { peer: '192.0.2.1' },
  'another machine over a socket of both kinds': { peer: '::ffff:192.0.2.1' },
  'a peer that is not known': { peer: undefined },
  'a peer whose name only begins like loopback': { peer: '127.0.0.1.example' },
  'what came through a proxy on this machine': { forwarded: true },
  'a name that was rebound to this machine': { host: 'evil.example:8080' },
  'a name that begins with localhost': { host: 'localhost.evil.example' },
  'a name that ends with localhost': { host: 'evil.localhost' },
  'a request without a host': { host: undefined },
  'a page from elsewhere': { origin: 'https://evil.example' },
  'a page of another port on this machine': { origin: 'http://localhost:3000' },
  'a page of another scheme': { origin: 'https://localhost:8080' },
  'a sandboxed page': { origin: 'null' },
  'a page with an empty origin': { origin: '' },
}
for (const [name, caller] of Object.entries(CLOSED_TO)) {
  test(`Without tokens writing is closed to ${name}`, () => {
    assert.throws(() => assertMayWrite({ ...LOCAL, ...caller }, { tokens: [] }), REFUSED)
  })
}

const TOKENS = { tokens: ['the first token of two', 'thesecondtoken'] }

test('With tokens every one of them is accepted, from wherever it comes', () => {
  const far: Caller = { peer: '192.0.2.1', host: 'img.example', origin: 'https://elsewhere.example', forwarded: true }
  for (const authorization of ['Bearer thesecondtoken', 'bearer thesecondtoken', 'BEARER   thesecondtoken ']) {
    assertMayWrite({ ...far, authorization }, TOKENS)
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
  test(`With tokens ${JSON.stringify(authorization)} is refused, on this machine too`, () => {
    assert.throws(() => assertMayWrite({ ...LOCAL, authorization }, TOKENS), REFUSED)
  })
}

test('A refusal says what to do, and names no token', () => {
  const message = /^(?!.*thesecond).*Authorization: Bearer/
  assert.throws(() => assertMayWrite({ ...LOCAL, authorization: 'Bearer x' }, TOKENS), { ...REFUSED, message })
  assert.throws(() => assertMayWrite({ ...LOCAL, forwarded: true }, { tokens: [] }), { message: /no tokens/ })
})
