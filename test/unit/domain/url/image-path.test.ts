import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { OUTPUT_FORMATS } from '../../../../src/domain/spec/image-format.ts'
import { formatImagePath, parseImagePath, type UploadRequest } from '../../../../src/domain/url/image-path.ts'
import { signedPath } from '../../../../src/domain/url/picture-url.ts'
import { RequestError } from '../../../../src/errors.ts'
import { anySpec } from '../../../../tools/fuzz/any-spec.ts'

const ID = '3f2a'.padEnd(40, '0')
const original = { kind: 'image', id: ID } as const
const W400 = { size: { kind: 'box', width: 400 } } as const

const CASES: Readonly<Record<string, UploadRequest>> = {
  [`/image/${ID}/400w/cat.webp`]: { original, spec: W400, format: 'webp', name: 'cat' },
  [`/image/${ID}/400w`]: { original, spec: W400 },
  [`/image/${ID}/400w.webp`]: { original, spec: W400, format: 'webp' },
  [`/image/${ID}/400w,1.5x`]: { original, spec: { ...W400, dpr: 1.5 } },
  [`/image/${ID}/400w,1.5x.avif`]: { original, spec: { ...W400, dpr: 1.5 }, format: 'avif' },
  [`/image/${ID}/400w,blur0.6`]: { original, spec: { ...W400, blur: 0.6 } },
  [`/image/${ID}/400w,blur0.6.gif`]: { original, spec: { ...W400, blur: 0.6 }, format: 'gif' },
  [`/image/${ID}/100s,at30.5x70.png`]: {
    original,
    spec: { size: { kind: 'square', side: 100 }, position: { x: 30.5, y: 70 } },
    format: 'png',
  },
  [`/image/${ID}/full.jpg`]: { original, spec: { size: { kind: 'full' } }, format: 'jpg' },
  [`/image/${ID}/200s,2x`]: { original, spec: { size: { kind: 'square', side: 200 }, dpr: 2 } },
  [`/image/${ID}/300w100h/my.holiday.jpg`]: {
    original,
    spec: { size: { kind: 'box', width: 300, height: 100 } },
    format: 'jpg',
    name: 'my.holiday',
  },
  [`/image/${ID}/400w/%E7%8C%AB%20%2F%2e.gif`]: { original, spec: W400, format: 'gif', name: '%E7%8C%AB%20%2F%2e' },
  [`/image/${ID}/400w/%FF%c0%AF.png`]: { original, spec: W400, format: 'png', name: '%FF%c0%AF' },
  [`/image/${ID}/400w/...png`]: { original, spec: W400, format: 'png', name: '..' },
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

const INVALID = [
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
for (const path of INVALID) {
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
