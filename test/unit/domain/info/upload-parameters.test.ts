import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseUploadParameters } from '../../../../src/domain/info/upload-parameters.ts'

const parse = (query: string) => parseUploadParameters(new URLSearchParams(query))

test('Without parameters an upload has no details, and its end is not required', () => {
  assert.deepEqual(parse('sizes=400w'), { mustEnd: false, details: { labels: [] } })
})

test('Labels, name and source are details; the end is required with complete=true', () => {
  assert.deepEqual(parse('complete=true&labels=a+b&name=cat%20%C3%BC.jpg&source=agency/sport'), {
    mustEnd: true,
    details: { labels: ['a', 'b'], name: 'cat ü.jpg', source: 'agency/sport' },
  })
})

test('A name has no folders and no control characters, a source is at most 128 characters long', () => {
  const { details } = parse(`name=..%2Fa%2Fcat%0A.jpg&source=%00${'s'.repeat(200)}`)
  assert.deepEqual(details, { labels: [], name: 'cat.jpg', source: 's'.repeat(128) })
})

for (const query of ['complete', 'complete=1', 'complete=true&complete=true', 'name=a&name=b', 'source=a&source=b']) {
  test(`${query} is refused`, () => {
    assert.throws(() => parse(query), { code: 'invalid_upload', message: /should be true or false|give it once$/ })
  })
}
