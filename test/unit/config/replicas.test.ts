import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError, loadConfig } from '../../../src/config/env.ts'

const STORE = { STORE: 's3://originals' } as const

test('replicas are listed nearest first, with options and the place of the primary', () => {
  const text =
    's3://near?endpoint=http://[::1]:9000&pathStyle=false primary s3://far?endpoint=https://b.example:9000/&region=eu-west-1&profile=site-b s3://aws'
  assert.deepEqual(loadConfig({ ...STORE, STORE_REPLICAS: text }).STORE_REPLICAS, [
    { bucket: 'near', endpoint: 'http://[::1]:9000', pathStyle: false },
    'primary',
    { bucket: 'far', endpoint: 'https://b.example:9000/', region: 'eu-west-1', profile: 'site-b' },
    { bucket: 'aws' },
  ])
  assert.deepEqual(loadConfig(STORE).STORE_REPLICAS, [])
})

const MISTAKES: readonly (readonly [string, RegExp])[] = [
  ['http://b.example:9000/bucket', /should be "primary", or like s3:\/\/my-bucket\?endpoint=/],
  ['s3://Not_A_Bucket', /should be "primary", or like/],
  ['s3://copy?endpoint=b.example:9000', /s3:\/\/copy: endpoint should be a URL/],
  ['s3://copy?endpoint=https://user:secretsecret@b.example', /s3:\/\/copy: endpoint should be a URL/],
  ['s3://copy?accessKeyId=secretsecret', /s3:\/\/copy: "accessKeyId" should be one of endpoint, region/],
  ['s3://copy?region=a&region=b', /region should be given once/],
  ['s3://copy?pathStyle=yes', /pathStyle should be true or false/],
  ['s3://copy?profile=', /should not be empty/],
  ['primary primary', /primary should be listed once/],
]

for (const [text, message] of MISTAKES) {
  test(`a mistake in STORE_REPLICAS is named without its value: ${text}`, () => {
    assert.throws(
      () => loadConfig({ ...STORE, STORE_REPLICAS: text }),
      (error) => {
        assert.ok(error instanceof ConfigError)
        assert.match(error.message, message)
        assert.match(error.message, /^STORE_REPLICAS: /)
        assert.ok(!error.message.includes('secretsecret'))
        return true
      },
    )
  })
}

test('STORE_REPLICAS requires a bucket as the store', () => {
  assert.throws(() => loadConfig({ STORE_REPLICAS: 's3://copy' }), /STORE_REPLICAS: has no effect without STORE=s3/)
})
