import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isLoopback, type TokenSettings, tokenSource } from '../../../../src/domain/access/token-source.ts'

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
