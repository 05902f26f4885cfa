import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { encodeKey, formatObjectPath, parseObjectPath } from '../../../../src/domain/url/object-path.ts'
import { signedPath } from '../../../../src/domain/url/picture-url.ts'
import { RequestError } from '../../../../src/errors.ts'
import { anySpec } from '../../../../tools/fuzz/any-spec.ts'

const KEYS = {
  'cat.jpg': 'cat.jpg',
  'a/b/c.jpg': 'a/b/c.jpg',
  'a%20b.jpg': 'a b.jpg',
  'a+b.jpg': 'a+b.jpg',
  'a%2Bb.jpg': 'a+b.jpg',
  'a%2Fb.jpg': 'a/b.jpg',
  'a%252Fb.jpg': 'a%2Fb.jpg',
  '/a.jpg': '/a.jpg',
  'a//b.jpg': 'a//b.jpg',
  'a/': 'a/',
  '.hidden/..x': '.hidden/..x',
  'a%2F..%2Fb.jpg': 'a/../b.jpg',
  'caf%C3%A9.jpg': 'caf\u00e9.jpg',
  'cafe%CC%81.jpg': 'cafe\u0301.jpg',
  'a/-/400w/-/b': 'a/-/400w/-/b',
  'a/-': 'a/-',
  'a%3Fb%23c&d=e': 'a?b#c&d=e',
  '%F0%9F%90%88': '\u{1f408}',
} as const
for (const [text, key] of Object.entries(KEYS)) {
  test(`/s3/photos/${text}/-/400w is of the key ${JSON.stringify(key)}`, () => {
    const parsed = parseObjectPath(`/s3/photos/${text}/-/400w`)
    assert.ok(parsed.kind === 'picture')
    assert.deepEqual(parsed.request.original, { kind: 'object', bucket: 'photos', key })
    assert.equal(parsed.prefix, `/s3/photos/${text}/-/`, 'the key stays as it was written')
    const own = parseObjectPath(formatObjectPath(parsed.request))
    assert.deepEqual(own.kind === 'picture' && own.request, parsed.request)
  })
}

test('A key of 1,024 bytes is one, a longer one is none', () => {
  const path = (key: string) => `/s3/photos/${encodeKey(key)}/-/400w`
  assert.doesNotThrow(() => parseObjectPath(path('\u00e9'.repeat(512))))
  assert.throws(() => parseObjectPath(path(`${'\u00e9'.repeat(512)}x`)), { code: 'invalid_path' })
})

test('The size and the file name are those of any picture', () => {
  const parsed = parseObjectPath('/s3/photos/cat.jpg/-/300h400w/x.JPEG', 'abc')
  assert.ok(parsed.kind === 'picture')
  assert.equal(parsed.request.format, 'jpg')
  assert.equal(formatObjectPath(parsed.request), '/s3/photos/cat.jpg/-/400w300h/x.jpg?versionId=abc')
  assert.equal(signedPath(parsed.request), '/s3/photos/cat.jpg/-/400w300h/.jpg?versionId=abc')
})

test('A format without a name is part of the last segment, and signed as with a name', () => {
  const parsed = parseObjectPath('/s3/photos/a.png/-/400W,1.50x.JPEG')
  assert.ok(parsed.kind === 'picture')
  assert.deepEqual([parsed.request.format, parsed.request.name], ['jpg', undefined])
  assert.equal(formatObjectPath(parsed.request), '/s3/photos/a.png/-/400w,1.5x.jpg')
  assert.equal(signedPath(parsed.request), '/s3/photos/a.png/-/400w,1.5x/.jpg')
  assert.throws(() => parseObjectPath('/s3/photos/a.png/-/400w.tiff'), { message: /^"tiff" is not an output format/ })
})

test('Where a size would be, "info" asks for what is known', () => {
  const original = { kind: 'object', bucket: 'photos', key: 'info' } as const
  assert.deepEqual(parseObjectPath('/s3/photos/info/-/info'), { kind: 'info', original })
})

const INVALID = [
  '/s3',
  '/s3/',
  '/s3/photos',
  '/s3/photos/400w',
  '/s3/photos/cat.jpg/400w',
  '/s3/photos//-/400w',
  '/s3//cat.jpg/-/400w',
  '/s3/photos/cat.jpg/-/',
  '/s3/photos/cat.jpg/-/400w/',
  '/s3/photos/cat.jpg/-/400w/a/b.jpg',
  '/s3/photos/cat.jpg/-/info/x.json',
  '/s3/photos/%FF/-/400w',
  // A redirect to their canonical spelling would have had what no header takes.
  '/s3/pictur%00%2Fs/cat.jpg/-/300h400w',
  '/s3/..%F0%9F%98%80/cat.jpg/-/300h400w',
  '/s3/%0d%0aX:y/cat.jpg/-/300h400w',
  '/s3/photos/%/-/400w',
  '/s3/photos/a%00b/-/400w',
  '/image/photos/cat.jpg/-/400w',
  'x/s3/photos/cat.jpg/-/400w',
]
for (const path of INVALID) {
  test(`${path} is no path of an object`, () => {
    assert.throws(() => parseObjectPath(path), { name: 'RequestError', code: 'invalid_path' })
  })
}

const keys = fc
  .oneof(
    fc.string({ unit: 'grapheme', minLength: 1 }),
    fc.array(fc.constantFrom('.', '..', '', '-', 'a')).map((parts) => parts.join('/')),
  )
  .filter((key) => key !== '' && !key.includes('\0') && Buffer.byteLength(key) <= 1024 && key.isWellFormed())

test('A path of ours is read as the key that it was made of, also by who resolves its dots', () => {
  fc.assert(
    fc.property(keys, anySpec(), (key, spec) => {
      const original = { kind: 'object', bucket: 'photos', key } as const
      const path = formatObjectPath({ original, spec })
      const resolved = new URL(path, 'http://localhost').pathname
      // A key that is nothing but dots can be asked for only by who resolves nothing.
      for (const each of key === '.' || key === '..' ? [path] : [path, resolved]) {
        const parsed = parseObjectPath(each)
        assert.deepEqual(parsed.kind === 'picture' && parsed.request, { original, spec })
      }
    }),
  )
})

test('Any path at all parses or is refused as a request', () => {
  const segments = fc.array(fc.oneof(fc.string(), fc.constantFrom('s3', 'photos', '-', '400w', 'x.webp', '', '..')))
  fc.assert(
    fc.property(segments, (parts) => {
      try {
        parseObjectPath(`/${parts.join('/')}`)
      } catch (error) {
        if (!(error instanceof RequestError)) throw error
      }
    }),
  )
})
