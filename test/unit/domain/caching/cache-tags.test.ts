import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  CACHE_TAG_HEADERS,
  cacheTag,
  cacheTagValue,
  parseCacheTagHeader,
} from '../../../../src/domain/caching/cache-tags.ts'
import { resourceId } from '../../../../src/domain/identity/image-id.ts'
import { SettingError } from '../../../../src/errors.ts'

const ID = '3f2a'.padEnd(40, '0')
const OBJECT = { kind: 'object', bucket: 'photos', key: 'a b/c,d.jpg' } as const
const LONG = { kind: 'object', bucket: 'photos', key: 'x'.repeat(1024) } as const
const REMOTE = { kind: 'remote', url: 'https://a.example/b,c.jpg?d=%20' } as const
const CASES = [
  [{ kind: 'image', id: ID }, ID, []],
  [OBJECT, resourceId(OBJECT), ['photos', 'photos/a%20b/c%2Cd.jpg']],
  [{ ...OBJECT, versionId: '7' }, resourceId(OBJECT), ['photos', 'photos/a%20b/c%2Cd.jpg']],
  [LONG, resourceId(LONG), ['photos']],
  [REMOTE, resourceId(REMOTE), ['a.example', 'https://a.example/b%2Cc.jpg?d=%20']],
] as const
for (const [original, tag, names] of CASES) {
  test(`The tag of ${JSON.stringify(original).slice(0, 80)} is the id that purges name, in the grammar of each header`, () => {
    assert.equal(cacheTag(original), tag)
    assert.deepEqual(
      CACHE_TAG_HEADERS.map((header) => [header, cacheTagValue(header, original)]),
      [
        ['Cache-Tag', [tag, ...names].join(',')],
        ['Surrogate-Key', tag],
        ['Edge-Cache-Tag', tag],
        ['xkey', tag],
        ['Cache-Groups', `"${tag}"`],
      ],
    )
  })
}

test('A header is named in any case, and another name is an error', () => {
  assert.deepEqual(['XKEY', 'surrogate-key'].map(parseCacheTagHeader), ['xkey', 'Surrogate-Key'])
  assert.throws(() => parseCacheTagHeader('Tags'), SettingError)
})
