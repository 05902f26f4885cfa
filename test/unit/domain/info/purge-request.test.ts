import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_PURGED, parsePurgeRequest } from '../../../../src/domain/info/purge-request.ts'
import { RequestError } from '../../../../src/errors.ts'

const ID = '3f'.repeat(20)

test('A purge names uploads, objects, remote images and labels', () => {
  const body = JSON.stringify({
    ids: [ID.toUpperCase()],
    keys: ['photos/2024/a cat.jpg'],
    prefixes: ['photos/2024/'],
    urls: ['HTTPS://Img.example.com/cat.jpg#top'],
    hosts: ['Img.Example.com', 'a.example:8443'],
    labels: ['cats'],
  })
  assert.deepEqual(parsePurgeRequest(body), {
    ids: [ID],
    keys: [{ kind: 'object', bucket: 'photos', key: '2024/a cat.jpg' }],
    prefixes: [{ kind: 'object', bucket: 'photos', key: '2024/' }],
    urls: [{ kind: 'remote', url: 'https://img.example.com/cat.jpg' }],
    hosts: ['img.example.com', 'a.example:8443'],
    labels: ['cats'],
  })
})

const MISTAKES: readonly (readonly [string, RegExp])[] = [
  ['', /should be a JSON object with lists of strings/],
  ['[]', /should be a JSON object with lists of strings/],
  ['{}', /names nothing to purge/],
  ['{"ids": []}', /names nothing to purge/],
  ['{"id": ["x"]}', /"id" is not a list of a purge: the lists are ids, keys/],
  ['{"ids": "x"}', /"ids" should be a list of strings/],
  ['{"ids": [1]}', /ids\[0\]: 1 should be the id of an upload/],
  ['{"ids": [null]}', /ids\[0\]: null should be the id of an upload/],
  ['{"ids": ["abc"]}', /ids\[0\]: "abc" should be the id of an upload, 40 hexadecimal digits/],
  ['{"keys": ["photos"]}', /keys\[0\]: "photos" should be the alias of a bucket, a slash and a key/],
  ['{"keys": ["photos/"]}', /should be the alias of a bucket/],
  ['{"prefixes": ["photos/"]}', /a prefix that is not empty, as in "photos\/2024\/"/],
  ['{"prefixes": ["/x"]}', /a prefix that is not empty/],
  ['{"prefixes": [""]}', /a prefix that is not empty/],
  ['{"urls": ["ftp://a.example/x"]}', /should be the URL of a remote image/],
  ['{"hosts": ["https://a.example"]}', /should be the name of a host, as in "img.example.com"/],
  ['{"hosts": [""]}', /should be the name of a host/],
  ['{"labels": ["Cats"]}', /should be a label/],
]

for (const [body, message] of MISTAKES) {
  test(`The purge ${body || '""'} is rejected with a message that says what would be right`, () => {
    assert.throws(
      () => parsePurgeRequest(body),
      (error) => error instanceof RequestError && error.code === 'invalid_purge' && message.test(error.message),
    )
  })
}

test('A purge has at most a thousand entries in all lists together', () => {
  const labels = (count: number) => Array.from({ length: count }, (_, index) => `label-${index}`)
  const purge = (count: number) => parsePurgeRequest(JSON.stringify({ ids: [ID], labels: labels(count - 1) }))
  assert.equal(purge(MAX_PURGED).labels.length, MAX_PURGED - 1)
  assert.throws(() => purge(MAX_PURGED + 1), { code: 'invalid_purge', message: /1001 entries were given/ })
})
