import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settingsWithoutMode } from '../../../src/config/modes.ts'

const KEY = '0123456789abcdef'

const WITHOUT = [
  [{ SIZES: '400w' }, 'SIZES', 'SIZE_POLICY=list'],
  [{ SIZES: '400w', SIZE_POLICY: 'open' }, 'SIZES', 'SIZE_POLICY=list'],
  [{ SIZES: '400w', SIZE_POLICY: 'signed', URL_KEYS: KEY }, 'SIZES', 'SIZE_POLICY=list'],
  [{ SIZES_FALLBACK: 'redirect' }, 'SIZES_FALLBACK', 'SIZE_POLICY=list'],
  [{ URL_KEYS: KEY }, 'URL_KEYS', 'SIZE_POLICY=signed'],
  [{ URL_KEYS: KEY, SIZE_POLICY: 'list', SIZES: '400w' }, 'URL_KEYS', 'SIZE_POLICY=signed'],
  [{ S3_ENDPOINT: 'https://s3.example' }, 'S3_ENDPOINT', 'STORE=s3://<bucket>'],
  [{ S3_REGION: 'eu-central-1', STORE: 'file:./data' }, 'S3_REGION', 'STORE=s3://<bucket>'],
  [{ THUMBOR_KEYS: 'key', DIALECTS: 'ipx=/ipx' }, 'THUMBOR_KEYS', 'thumbor or imagor in DIALECTS'],
  [{ IMGPROXY_KEYS: 'ab:cd' }, 'IMGPROXY_KEYS', 'imgproxy in DIALECTS'],
  [{ IPX_BASE: 'image/', DIALECTS: 'thumbor=/ipx=' }, 'IPX_BASE', 'ipx in DIALECTS'],
  [{ DIALECT_FORMAT: 'negotiated' }, 'DIALECT_FORMAT', 'DIALECTS, such as'],
] as const
for (const [given, setting, needs] of WITHOUT) {
  test(`${JSON.stringify(given)} is refused, since ${setting} has no effect`, () => {
    const [mistake = 'none', ...more] = settingsWithoutMode(given)
    assert.ok(mistake.startsWith(`${setting}: has no effect without ${needs}`), mistake)
    assert.deepEqual(more, [])
  })
}

const WITH = [
  { SIZE_POLICY: 'list', SIZES: '400w', SIZES_FALLBACK: 'redirect' },
  { SIZE_POLICY: 'signed', URL_KEYS: KEY },
  { STORE: 's3://bucket', S3_ENDPOINT: 'https://s3.example', S3_REGION: 'eu', S3_FORCE_PATH_STYLE: 'false' },
  { DIALECTS: 'imagor=/imagor', THUMBOR_KEYS: 'key', THUMBOR_HASH: 'sha256', DIALECT_FORMAT: 'source' },
  { DIALECTS: 'thumbor=/t imgproxy=img.example', IMGPROXY_BASE: 'image/', THUMBOR_BASE: 'https://' },
  // Other programs use these too.
  { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret' },
  // Misspelled modes are reported themselves.
  { SIZE_POLICY: 'lst', SIZES: '400w', URL_KEYS: KEY },
  { STORE: 's3:bucket', S3_ENDPOINT: 'https://s3.example' },
] as const
for (const given of WITH) {
  test(`${JSON.stringify(given)} belong together`, () => assert.deepEqual(settingsWithoutMode(given), []))
}
