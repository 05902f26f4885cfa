import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { OUTPUT_FORMATS } from '../../../../src/domain/spec/image-format.ts'
import {
  encodeKey,
  formatImagePath,
  formatObjectPath,
  formatPictureUrl,
  parseImagePath,
  parseObjectPath,
  parsePictureUrl,
  signedPath,
  type UploadRequest,
} from '../../../../src/domain/url/picture-url.ts'
import { RequestError } from '../../../../src/errors.ts'
import { anySpec } from '../../../../tools/fuzz/any-spec.ts'

const ID = '3f2a'.padEnd(40, '0')
const REMOTE = 'https%3A%2F%2Fa.example%2Fb%20c.jpg%3Fd%3D1%262'

/** A URL, its canonical spelling, and what of that is signed. */
const URLS = [
  [`/image/${ID}/300h400w/cat.jpeg?e=1`, `/image/${ID}/400w300h/cat.jpg`, `/image/${ID}/400w300h/.jpg`],
  [`/image/${ID}/300h400w.jpeg`, `/image/${ID}/400w300h.jpg`, `/image/${ID}/400w300h/.jpg`],
  ['/s3/photos/a%20b.jpg/-/400W.png', '/s3/photos/a%20b.jpg/-/400w.png', '/s3/photos/a%20b.jpg/-/400w/.png'],
  ['/s3/photos/a%20b.jpg/-/400W', '/s3/photos/a%20b.jpg/-/400w', '/s3/photos/a%20b.jpg/-/400w'],
  ['/s3/photos/%61/-/400w/x.png', '/s3/photos/a/-/400w/x.png', '/s3/photos/a/-/400w/.png'],
  [
    '/s3/photos/a/-/400w?versionId=x%2F&s=1',
    '/s3/photos/a/-/400w?versionId=x%2F',
    '/s3/photos/a/-/400w?versionId=x%2F',
  ],
  [
    `/image?size=300h400w&format=JPEG&url=${REMOTE}`,
    `/image?url=https%3A%2F%2Fa.example%2Fb%2520c.jpg%3Fd%3D1%262&size=400w300h&format=jpg`,
    `/image?url=https%3A%2F%2Fa.example%2Fb%2520c.jpg%3Fd%3D1%262&size=400w300h&format=jpg`,
  ],
  [
    '/image?url=https://a.example',
    '/image?url=https%3A%2F%2Fa.example%2F&size=full',
    '/image?url=https%3A%2F%2Fa.example%2F&size=full',
  ],
] as const
for (const [url, canonical, signed] of URLS) {
  test(`${url} is canonically ${canonical}`, () => {
    const request = parsePictureUrl(url)
    assert.equal(formatPictureUrl(request), canonical)
    assert.equal(formatPictureUrl(parsePictureUrl(canonical)), canonical)
    assert.equal(signedPath(request), signed)
  })
}

const NO_PICTURES = [
  '/image',
  '/image?size=400w',
  '/image?url=https://a.example/&url=https://b.example/',
  '/image?url=https://a.example/&size=400w&size=500w',
  '/image?url=https://a.example/&size=400',
  '/image?url=https://a.example/&format=tiff',
  '/image?url=ftp://a.example/',
  '/image?url=https://u:p@a.example/',
  '/image?url=a.example/b.jpg',
  '/image?url=https://a.example/&size=info',
  '/s3/photos/a/-/info',
]
for (const url of NO_PICTURES) {
  test(`${url} is no URL of a picture`, () => {
    assert.throws(() => parsePictureUrl(url), { name: 'RequestError', code: 'invalid_path' })
  })
}

const uploaded = { kind: 'image', id: ID } as const
const W400 = { size: { kind: 'box', width: 400 } } as const

const CASES: Readonly<Record<string, UploadRequest>> = {
  [`/image/${ID}/400w/cat.webp`]: { original: uploaded, spec: W400, format: 'webp', name: 'cat' },
  [`/image/${ID}/400w`]: { original: uploaded, spec: W400 },
  [`/image/${ID}/400w.webp`]: { original: uploaded, spec: W400, format: 'webp' },
  [`/image/${ID}/400w,1.5x`]: { original: uploaded, spec: { ...W400, dpr: 1.5 } },
  [`/image/${ID}/400w,1.5x.avif`]: { original: uploaded, spec: { ...W400, dpr: 1.5 }, format: 'avif' },
  [`/image/${ID}/400w,blur0.6`]: { original: uploaded, spec: { ...W400, blur: 0.6 } },
  [`/image/${ID}/400w,blur0.6.gif`]: { original: uploaded, spec: { ...W400, blur: 0.6 }, format: 'gif' },
  [`/image/${ID}/100s,at30.5x70.png`]: {
    original: uploaded,
    spec: { size: { kind: 'square', side: 100 }, position: { x: 30.5, y: 70 } },
    format: 'png',
  },
  [`/image/${ID}/full.jpg`]: { original: uploaded, spec: { size: { kind: 'full' } }, format: 'jpg' },
  [`/image/${ID}/200s,2x`]: { original: uploaded, spec: { size: { kind: 'square', side: 200 }, dpr: 2 } },
  [`/image/${ID}/300w100h/my.holiday.jpg`]: {
    original: uploaded,
    spec: { size: { kind: 'box', width: 300, height: 100 } },
    format: 'jpg',
    name: 'my.holiday',
  },
  [`/image/${ID}/400w/%E7%8C%AB%20%2F%2e.gif`]: {
    original: uploaded,
    spec: W400,
    format: 'gif',
    name: '%E7%8C%AB%20%2F%2e',
  },
  [`/image/${ID}/400w/%FF%c0%AF.png`]: { original: uploaded, spec: W400, format: 'png', name: '%FF%c0%AF' },
  [`/image/${ID}/400w/...png`]: { original: uploaded, spec: W400, format: 'png', name: '..' },
}
for (const [path, request] of Object.entries(CASES)) {
  test(`${path} parses, and formats back to itself`, () => {
    assert.deepEqual(parseImagePath(path), request)
    assert.equal(formatImagePath(request), path)
  })
}

const CANONICAL = {
  [`/image/${ID.toUpperCase()}/400w/Cat.webp`]: `/image/${ID}/400w/Cat.webp`,
  [`/image/${ID}/100h300w/x.jpeg`]: `/image/${ID}/300w100h/x.jpg`,
  [`/image/${ID}/400w.jpeg`]: `/image/${ID}/400w.jpg`,
  [`/image/${ID}/400w.WebP`]: `/image/${ID}/400w.webp`,
  [`/image/${ID}/400W.JPEG`]: `/image/${ID}/400w.jpg`,
  [`/image/${ID}/300h400w%2E%77ebp`]: `/image/${ID}/400w300h.webp`,
  [`/image/${ID}/100s,2.x`]: `/image/${ID}/100s,2x`,
  [`/image/${ID}/100s,2.x.jpeg`]: `/image/${ID}/100s,2x.jpg`,
  [`/image/${ID}/400w/x.JPEG`]: `/image/${ID}/400w/x.jpg`,
  [`/image/${ID}/400w/x.WebP`]: `/image/${ID}/400w/x.webp`,
  [`/image/${ID}/400w/x.web%70`]: `/image/${ID}/400w/x.webp`,
  [`/image/${ID}/400W`]: `/image/${ID}/400w`,
  [`/image/${ID}/200s%2C2x`]: `/image/${ID}/200s,2x`,
  [`/image/%33${ID.slice(1)}/%3400w`]: `/image/${ID}/400w`,
} as const
for (const [path, canonical] of Object.entries(CANONICAL)) {
  test(`${path} is another spelling of ${canonical}`, () => {
    assert.equal(formatImagePath(parseImagePath(path)), canonical)
  })
}

/** What a text in the place of the size, or what follows it, is answered. */
const REFUSED = {
  '400w.tiff': '"tiff" is not an output format: write jpg, png, webp, avif or gif',
  '400w.bmp': '"bmp" is not an output format: write jpg, png, webp, avif or gif',
  '400w,1.5x.svg': '"svg" is not an output format: write jpg, png, webp, avif or gif',
  '400w/x.wepb': '"wepb" is not an output format: write jpg, png, webp, avif or gif',
  '400width.webp': '"400width" is not a size; did you mean "400w"?',
  '400w.webp.webp': '"400w.webp" is not a size; did you mean "400w"?',
  '400w.webp/x.webp': '"400w.webp" is not a size; did you mean "400w"?',
  '400w.5x': '"400w.5x" is not a size: write full, 400w, 300h, 400w300h or 100s',
  '400w.auto-avif.webp': '"400w.auto-avif" is not a size: write full, 400w, 300h, 400w300h or 100s',
  '400w.': '"400w." is not a size: write full, 400w, 300h, 400w300h or 100s',
  '.webp': '"" is not a size: write full, 400w, 300h, 400w300h or 100s',
  '400w/webp':
    'The size may only be followed by a format, or by a name and a format: use 400w, 400w.webp or 400w/cat.webp',
} as const
for (const [rest, message] of Object.entries(REFUSED)) {
  test(`/image/{id}/${rest} is refused with the reason`, () => {
    assert.throws(() => parseImagePath(`/image/${ID}/${rest}`), { code: 'invalid_path', message })
  })
}

const NO_IMAGES = [
  '',
  '/',
  '/image',
  `/image/${ID}`,
  `/images/${ID}/400w`,
  `image/${ID}/400w`,
  `//image/${ID}/400w`,
  `/image//${ID}/400w`,
  `/image/${ID}/400w/`,
  `/image/${ID}//x.webp`,
  `/image/${ID}/400w/a/x.webp`,
  `/image/${ID}/400w/.webp`,
  `/image/${ID}/400w/webp`,
  `/image/${ID}/400w/x.`,
  `/image/${ID}/400w/x.svg`,
  `/image/${ID}/400w/x.webp%2F`,
  `/image/${ID}/400w/x%2Ewebp`,
  `/image/${ID}/400w/x%00.webp`,
  `/image/${ID}/400w/x%fg.webp`,
  `/image/${ID}/400w/x%.webp`,
  `/image/${ID}/400w%/x.webp`,
  `/image/${ID}/400w%2Fx.webp`,
  `/image/${ID}0/400w`,
  `/image/${ID.slice(1)}/400w`,
  `/image/g${ID.slice(1)}/400w`,
  `/image/${ID}/../400w`,
  `/image/../../etc/passwd`,
  `/image/..%2f..%2f${ID.slice(10)}/400w`,
  `/image/${ID}/..%2f..%2foriginals/x.webp`,
  `/image/${ID}/400w\0/x.webp`,
]
for (const path of NO_IMAGES) {
  test(`${JSON.stringify(path)} is no path of an image`, () => {
    assert.throws(() => parseImagePath(path), { name: 'RequestError', code: 'invalid_path' })
  })
}

const requests: fc.Arbitrary<UploadRequest> = fc
  .record({
    id: fc.string({ unit: fc.constantFrom(...'0123456789abcdef'.split('')), minLength: 40, maxLength: 40 }),
    spec: anySpec(),
    format: fc.option(fc.constantFrom(...OUTPUT_FORMATS), { nil: undefined }),
    name: fc.option(fc.string({ unit: 'grapheme', minLength: 1 }).map(encodeURIComponent), { nil: undefined }),
  })
  .map(({ id, spec, format, name }) => ({
    original: { kind: 'image' as const, id },
    spec,
    ...(format !== undefined && { format, ...(name !== undefined && { name }) }),
  }))

test('Parsing and formatting are inverses for every request there is', () => {
  fc.assert(fc.property(requests, (request) => assert.deepEqual(parseImagePath(formatImagePath(request)), request)))
})

test('Any path at all parses or is refused as a request', () => {
  const segments = fc.array(fc.oneof(fc.string(), fc.constantFrom('image', ID, '400w', 'x.webp', '', '..')))
  fc.assert(
    fc.property(segments, (parts) => {
      try {
        const canonical = formatImagePath(parseImagePath(`/${parts.join('/')}`))
        assert.equal(formatImagePath(parseImagePath(canonical)), canonical)
      } catch (error) {
        if (!(error instanceof RequestError)) throw error
      }
    }),
  )
})

test('The signed path is canonical, names the format and leaves out the name', () => {
  assert.equal(signedPath(parseImagePath(`/image/${ID}/300h400w/cat.jpeg`)), `/image/${ID}/400w300h/.jpg`)
  assert.equal(signedPath(parseImagePath(`/image/${ID}/300h400w.JPEG`)), `/image/${ID}/400w300h/.jpg`)
  assert.equal(signedPath(parseImagePath(`/image/${ID}/400w`)), `/image/${ID}/400w`)
})

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

const NO_OBJECTS = [
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
for (const path of NO_OBJECTS) {
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
