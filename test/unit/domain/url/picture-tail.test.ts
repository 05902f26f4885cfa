import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertNoQueryOptions } from '../../../../src/domain/url/picture-tail.ts'

const ID = '3f2a'.padEnd(40, '0')

/** A URL, the parameter that is named, and the path that is shown. */
const REFUSED = [
  [`/image/${ID}?w=400`, 'w', '/image/{id}/400w'],
  [`/image/${ID}/full/cat.jpg?w=400`, 'w', '/image/{id}/400w.jpg'],
  [`/image/${ID}/800w?width=400&height=300`, 'width', '/image/{id}/400w300h'],
  [`/image/${ID}/800w?H=300`, 'h', '/image/{id}/300h'],
  [`/image/${ID}/800w?q=80`, 'q', '/image/{id}/800w,q80'],
  [`/image/${ID}/800w,2x/cat.png?Quality=80&v=3`, 'quality', '/image/{id}/800w,2x,q80.png'],
  [`/image/${ID}/800w?dpr=2`, 'dpr', '/image/{id}/800w,2x'],
  [`/image/${ID}/800w?format=webp`, 'format', '/image/{id}/800w.webp'],
  [`/image/${ID}/800w.png?format=JPEG`, 'format', '/image/{id}/800w.jpg'],
  [`/image/${ID}/800w?format=auto`, 'format', '/image/{id}/800w'],
  [`/image/${ID}?size=400x300&fit=cover`, 'size', '/image/{id}/400w300h,cover'],
  [`/image/${ID}?size=200s`, 'size', '/image/{id}/200s'],
  [`/image/${ID}/400w300h?fit=crop`, 'fit', '/image/{id}/400w300h,cover'],
  [`/image/${ID}/800w?fit=crop&w=400`, 'fit', '/image/{id}/400w'],
  [`/image/${ID}?q=80`, 'q', '/image/{id}/400w,q80'],
  [`/image/${ID}/800w?w=abc`, 'w', '/image/{id}/400w'],
  [`/image/${ID}/800w?w`, 'w', '/image/{id}/400w'],
  [`/image/${ID}/800w?%77=400`, 'w', '/image/{id}/400w'],
  [`/image/${ID}/800w?v=1&&%57idth=400`, 'width', '/image/{id}/400w'],
  ['/s3/photos/a/b.jpg/-/800w?w=400', 'w', '/s3/{bucket}/{key}/-/400w'],
  ['/s3/photos/a/-/b.jpg/-/800w,q50/x.webp?dpr=2', 'dpr', '/s3/{bucket}/{key}/-/800w,2x,q50.webp'],
  ['/s3/photos/b.jpg?w=400', 'w', '/s3/{bucket}/{key}/-/400w'],
  ['/s3/photos/b.jpg/-/info?size=400w', 'size', '/s3/{bucket}/{key}/-/400w'],
] as const
for (const [url, name, path] of REFUSED) {
  test(`${url} is refused, and ${path} is shown`, () => {
    const [before = '', query = ''] = url.split('?')
    const message = `"${name}" belongs in the path, not in the query: use ${path}`
    assert.throws(() => assertNoQueryOptions(before, query), { name: 'RequestError', code: 'invalid_path', message })
  })
}

test('A remote image behind a slash too many is shown its own path', () => {
  const message =
    'Malformed URL of a remote image: use /image?url={url}&size={size}, without a slash before the question mark'
  assert.throws(() => assertNoQueryOptions('/image/', 'url=https://a.example/b.jpg&size=400w'), { message })
})

const IGNORED = [
  '',
  'v=3',
  'v',
  's=abc&e=1900000000',
  'versionId=x',
  'x=w=400',
  'www=1',
  'wi=1',
  'w%00=1',
  'w+=1',
  '+w=1',
  'w;h=1',
  'w[]=1',
  'sizes=400w',
  '%zz=1',
  '__proto__=1&constructor=2',
]
for (const query of IGNORED) {
  test(`The query "${query}" is none of a picture's business`, () => {
    assertNoQueryOptions(`/image/${ID}/400w`, query)
  })
}
