import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cdnCalls } from '../../../../src/domain/info/cdn-purge.ts'

const TAGS = Array.from({ length: 300 }, (_, number) => String(number).padStart(40, '0'))
const COMMON = { url: 'https://api.example', token: 'secret' }
const sizes = (calls: readonly { readonly body: string }[], field: string) =>
  calls.map(({ body }) => {
    const tags: unknown = Reflect.get(JSON.parse(body), field)
    return Array.isArray(tags) ? tags.length : 0
  })

test('Fastly purges up to 256 surrogate keys in a call', () => {
  const calls = cdnCalls({ ...COMMON, kind: 'fastly', service: 'abc' }, TAGS)
  assert.deepEqual(sizes(calls, 'surrogate_keys'), [256, 44])
  assert.equal(calls[0]?.url, 'https://api.example/service/abc/purge')
  assert.equal(calls[0]?.headers['fastly-key'], 'secret')
})

test('Cloudflare purges up to 100 tags in a call', () => {
  const calls = cdnCalls({ ...COMMON, kind: 'cloudflare', zone: 'abc' }, TAGS)
  assert.deepEqual(sizes(calls, 'tags'), [100, 100, 100])
  assert.equal(calls[0]?.url, 'https://api.example/client/v4/zones/abc/purge_cache')
  assert.equal(calls[0]?.headers['authorization'], 'Bearer secret')
})
