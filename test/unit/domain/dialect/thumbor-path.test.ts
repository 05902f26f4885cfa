import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertNotExpired, thumborSignatures } from '../../../../src/domain/dialect/dialect.ts'
import { parseThumborPath, type ThumborSettings } from '../../../../src/domain/dialect/thumbor-path.ts'
import { assertRobust, summary } from '../../../support/dialects.ts'

const UNSAFE: ThumborSettings = { keys: [], unsafe: true }
const SIGNED: ThumborSettings = { keys: ['a newer key', 'my-security-key'], unsafe: false }

const UNDERSTOOD = {
  '/unsafe/a.jpg': 'full source a.jpg',
  '/unsafe/0x0/a.jpg': 'full source a.jpg',
  '/unsafe/origxorig/a.jpg': 'full source a.jpg',
  '/unsafe/300x200/a.jpg': '300w200h,cover,up source a.jpg',
  '/unsafe/200x200/a.jpg': '200s,up source a.jpg',
  '/unsafe/300x0/a.jpg': '300w,up source a.jpg',
  '/unsafe/300x/a.jpg': '300w,up source a.jpg',
  '/unsafe/0x200/a.jpg': '200h,up source a.jpg',
  '/unsafe/x200/a.jpg': '200h,up source a.jpg',
  '/unsafe/-300x200/a.jpg': '300w200h,cover,up,flop source a.jpg',
  '/unsafe/300x-200/a.jpg': '300w200h,cover,up,flip source a.jpg',
  '/unsafe/-0x-0/a.jpg': 'full,flip,flop source a.jpg',
  '/unsafe/fit-in/300x200/a.jpg': '300w200h source a.jpg',
  '/unsafe/fit-in/300x0/a.jpg': '300w source a.jpg',
  '/unsafe/full-fit-in/300x200/a.jpg': '300w200h,outside,up source a.jpg',
  '/unsafe/adaptive-fit-in/300x300/a.jpg': '300w300h source a.jpg',
  '/unsafe/adaptive-full-fit-in/300x0/a.jpg': '300w,up source a.jpg',
  '/unsafe/stretch/300x200/a.jpg': '300w200h,fill,up source a.jpg',
  '/unsafe/fit-in/stretch/300x200/a.jpg': '300w200h source a.jpg',
  '/unsafe/300x200/left/top/a.jpg': '300w200h,cover,topleft,up source a.jpg',
  '/unsafe/300x200/right/a.jpg': '300w200h,cover,right,up source a.jpg',
  '/unsafe/300x200/center/middle/a.jpg': '300w200h,cover,up source a.jpg',
  '/unsafe/300x200/bottom/a.jpg': '300w200h,cover,bottom,up source a.jpg',
  '/unsafe/300x200/left/smart/a.jpg': '300w200h,cover,smart,up source a.jpg',
  '/unsafe/fit-in/300x200/left/smart/a.jpg': '300w200h source a.jpg',
  '/unsafe/300x0/smart/a.jpg': '300w,up source a.jpg',
  '/unsafe/0x0:0x0/300x200/0x0:0x0/a.jpg': '300w200h,cover,up source a.jpg',
  // What is kept is on the left of the picture before it is mirrored.
  '/unsafe/-300x200/left/a.jpg': '300w200h,cover,right,up,flop source a.jpg',
  '/unsafe/300x-200/top/a.jpg': '300w200h,cover,bottom,up,flip source a.jpg',
  // thumbor turns what is finished, counter-clockwise.
  '/unsafe/300x200/filters:rotate(90)/a.jpg': '200w300h,cover,up,rot270 source a.jpg',
  '/unsafe/300x200/top/filters:rotate(90)/a.jpg': '200w300h,cover,left,up,rot270 source a.jpg',
  '/unsafe/-300x200/filters:rotate(270)/a.jpg': '200w300h,cover,up,rot90,flip source a.jpg',
  '/unsafe/300x0/filters:rotate(-90)/a.jpg': '300h,up,rot90 source a.jpg',
  '/unsafe/300x0/filters:rotate(90):rotate(90)/a.jpg': '300w,up,rot180 source a.jpg',
  '/unsafe/filters:rotate(0)/a.jpg': 'full source a.jpg',
  '/unsafe/300x200/filters:orient(90)/a.jpg': '300w200h,cover,up,rot270 source a.jpg',
  '/unsafe/300x200/filters:no_upscale()/a.jpg': '300w200h,cover source a.jpg',
  '/unsafe/fit-in/300x200/filters:upscale()/a.jpg': '300w200h,up source a.jpg',
  '/unsafe/300x200/filters:stretch()/a.jpg': '300w200h,fill,up source a.jpg',
  '/unsafe/fit-in/300x200/filters:fill(white)/a.jpg': '300w200h,contain,bgffffff source a.jpg',
  '/unsafe/fit-in/300x200/filters:fill(%23fff)/a.jpg': '300w200h,contain,bgffffff source a.jpg',
  '/unsafe/fit-in/300x200/filters:fill(0F8)/a.jpg': '300w200h,contain,bg00ff88 source a.jpg',
  '/unsafe/fit-in/300x200/filters:fill(transparent)/a.png': '300w200h,contain source a.png',
  '/unsafe/fit-in/300x200/left/filters:fill(red,1)/a.jpg': '300w200h,contain,bgff0000 source a.jpg',
  '/unsafe/fit-in/300x0/filters:fill(red)/a.jpg': '300w,bgff0000 source a.jpg',
  '/unsafe/300x200/filters:background_color(fff)/a.png': '300w200h,cover,up,bgffffff source a.png',
  '/unsafe/300x200/filters:focal(0.1x0.2:0.3x0.4)/a.jpg': '300w200h,cover,at20x30,up source a.jpg',
  '/unsafe/300x200/smart/filters:focal(0.333,1)/a.jpg': '300w200h,cover,at33.3x100,up source a.jpg',
  '/unsafe/300x200/filters:focal(0x0:1x1)/a.jpg': '300w200h,cover,at50x50,up source a.jpg',
  '/unsafe/300x200/filters:quality(60):format(webp):grayscale()/a.jpg': '300w200h,cover,q60,up,gray webp a.jpg',
  '/unsafe/filters:format(jpeg)/a.png': 'full jpg a.png',
  '/unsafe/filters:quality(60):quality(70)/a.jpg': 'full,q70 source a.jpg',
  // Cut off at its own sigma a Gaussian blurs by little more than half of that.
  '/unsafe/filters:blur(7)/a.jpg': 'full,blur4 source a.jpg',
  '/unsafe/filters:blur(10,2)/a.jpg': 'full,blur2 source a.jpg',
  '/unsafe/filters:blur(0)/a.jpg': 'full source a.jpg',
  '/unsafe/filters:sharpen(0.5,1,true)/a.jpg': 'full,sharpen source a.jpg',
  '/unsafe/filters:sharpen(0)/a.jpg': 'full source a.jpg',
  '/unsafe/filters:cover()/a.gif': 'full,still source a.gif',
  '/unsafe/filters:max_frames(1)/a.gif': 'full,still source a.gif',
  '/unsafe/filters:strip_icc():strip_exif():strip_metadata():to_colorspace(sRGB):preview()/a.jpg': 'full source a.jpg',
  '//unsafe/300x200/a.jpg': '300w200h,cover,up source a.jpg',
  '/unsafe/300x200/my.server.com/some/path/to/image.jpg':
    '300w200h,cover,up source my.server.com/some/path/to/image.jpg',
  '/unsafe/300x200/https://host.example/a.jpg?v=1': '300w200h,cover,up source https://host.example/a.jpg?v=1',
  '/unsafe/300x200/https%3A%2F%2Fhost.example%2Fa%20b.jpg': '300w200h,cover,up source https://host.example/a b.jpg',
  '/unsafe/300x200/b64:aHR0cHM6Ly9ob3N0LmV4YW1wbGUvYT94PTE': '300w200h,cover,up source https://host.example/a?x=1',
  '/unsafe/300x200/filters:quality(60)/trim/a.jpg': '300w200h,cover,q60,up source trim/a.jpg',
} as const
for (const [path, expected] of Object.entries(UNDERSTOOD)) {
  test(`thumbor's ${path} is "${expected}"`, () => {
    assert.equal(summary(parseThumborPath(path, UNSAFE)), expected)
  })
}

const REFUSED = {
  '/': /Malformed path/,
  '/unsafe': /Malformed path/,
  '/unsafe/': /image is missing/,
  '/unsafe/300x200/': /image is missing/,
  '/unsafe/300x200/filters:quality(60)/': /image is missing/,
  '/params/unsafe/300x200/a.jpg': /"params\/"/,
  '/unsafe/debug/300x200/a.jpg': /"debug"/,
  '/unsafe/meta/300x200/a.jpg': /"meta"/,
  '/unsafe/trim/300x200/a.jpg': /"trim"/,
  '/unsafe/trim:top-left:10/300x200/a.jpg': /"trim:top-left:10"/,
  '/unsafe/10x20:110x120/300x200/a.jpg': /"10x20:110x120"/,
  '/unsafe/0.1x0.1:0.9x0.9/300x200/a.jpg': /"0.1x0.1:0.9x0.9"/,
  '/unsafe/fit-in/300x200/10x10/a.jpg': /"10x10"/,
  '/unsafe/adaptive-fit-in/300x200/a.jpg': /"adaptive-fit-in"/,
  '/unsafe/300xorig/a.jpg': /"300xorig"/,
  '/unsafe/9999999x200/a.jpg': /six digits/,
  '/unsafe/300x200/color:red': /"color:red"/,
  '/unsafe/300x200/b64:***': /base64url/,
  '/unsafe/300x200/b64:_w': /base64url/,
  '/unsafe/300x200/%zz.jpg': /percent-encoded/,
  '/unsafe/filters:quality(0)/a.jpg': /"quality\(0\)"/,
  '/unsafe/filters:quality(101)/a.jpg': /"quality\(101\)"/,
  '/unsafe/filters:quality()/a.jpg': /"quality\(\)"/,
  '/unsafe/filters:format(jxl)/a.jpg': /"format\(jxl\)"/,
  '/unsafe/filters:fill(blur)/a.jpg': /"fill\(blur\)"/,
  '/unsafe/filters:fill(auto)/a.jpg': /"fill\(auto\)"/,
  '/unsafe/filters:fill(nocolour)/a.jpg': /"fill\(nocolour\)"/,
  '/unsafe/filters:blur(140,140)/a.jpg': /"blur\(140,140\)"/,
  '/unsafe/filters:blur(200)/a.jpg': /"blur\(200\)"/,
  '/unsafe/filters:blur(2):blur(2)/a.jpg': /"blur\(2\)"/,
  '/unsafe/filters:blur(-2)/a.jpg': /"blur\(-2\)"/,
  '/unsafe/filters:rotate(45)/a.jpg': /"rotate\(45\)"/,
  '/unsafe/filters:orient(x)/a.jpg': /"orient\(x\)"/,
  '/unsafe/300x200/filters:focal(10x20:30x40)/a.jpg': /fractions/,
  '/unsafe/300x200/filters:focal(0.1)/a.jpg': /"focal\(0.1\)"/,
  '/unsafe/300x200/filters:focal(0.1,1.5)/a.jpg': /from 0 to 1/,
  '/unsafe/300x200/filters:focal(0.1,0.5):focal(0.2,0.5)/a.jpg': /"focal\(0.2,0.5\)"/,
  '/unsafe/filters:max_frames(3)/a.gif': /"max_frames\(3\)"/,
  '/unsafe/filters:max_bytes(10000)/a.jpg': /"max_bytes\(10000\)"/,
  '/unsafe/filters:watermark(http://host.example/w.png,10,10,50)/a.jpg':
    /"watermark\(http:\/\/host.example\/w.png,10,10,50\)"/,
  '/unsafe/filters:constructor()/a.jpg': /"constructor\(\)"/,
  '/unsafe/filters:to_colorspace(p3)/a.jpg': /"to_colorspace\(p3\)"/,
  '/unsafe/filters:expire(soon)/a.jpg': /"expire\(soon\)"/,
  '/unsafe/filters:attachment(a%0d%0ab)/a.jpg': /control characters/,
  '/unsafe/filters:quality(60/a.jpg': /closing parenthesis/,
  '/unsafe/filters:quality/a.jpg': /parentheses/,
  '/unsafe/filters:quality(60)a.jpg': /followed by/,
} as const
for (const [path, message] of Object.entries(REFUSED)) {
  test(`thumbor's ${path} is refused, and the message says what of it`, () => {
    assert.throws(() => parseThumborPath(path, UNSAFE), { name: 'RequestError', code: 'invalid_path', message })
  })
}

test('A URL of thumbor that any of the keys signed is read', () => {
  const path = '/8ammJH8D-7tXy6kU3lTvoXlhu4o=/300x200/my.server.com/some/path/to/image.jpg'
  const expected = '300w200h,cover,up source my.server.com/some/path/to/image.jpg'
  assert.equal(summary(parseThumborPath(path, SIGNED)), expected)
  assert.equal(summary(parseThumborPath(path.replace('=', '%3D'), SIGNED)), expected)
})

test('A URL of thumbor that was signed before its characters were encoded is read as it was signed', () => {
  const signed = '300x200/filters:fill(0f8)/größe 1.jpg'
  const [signature = ''] = thumborSignatures(signed, SIGNED)
  const path = `/${signature}/300x200/filters:fill%280f8%29/gr%C3%B6%C3%9Fe%201.jpg`
  assert.equal(summary(parseThumborPath(path, SIGNED)), '300w200h,cover,up,bg00ff88 source größe 1.jpg')
})

test('imagor signs by other hashes as well', () => {
  const settings: ThumborSettings = { keys: ['mysecret'], unsafe: false, hash: 'sha256', length: 40 }
  const [signature = ''] = thumborSignatures('500x500/a.png', settings)
  assert.equal(signature.length, 40)
  assert.equal(summary(parseThumborPath(`/${signature}/500x500/a.png`, settings)), '500s,up source a.png')
})

const FORGED = {
  'no signature': '/300x200/my.server.com/some/path/to/image.jpg',
  unsafe: '/unsafe/300x200/my.server.com/some/path/to/image.jpg',
  'another size': '/8ammJH8D-7tXy6kU3lTvoXlhu4o=/301x200/my.server.com/some/path/to/image.jpg',
  'a query that was not signed': '/8ammJH8D-7tXy6kU3lTvoXlhu4o=/300x200/my.server.com/some/path/to/image.jpg?v=2',
  'no padding': '/8ammJH8D-7tXy6kU3lTvoXlhu4o/300x200/my.server.com/some/path/to/image.jpg',
} as const
for (const [name, path] of Object.entries(FORGED)) {
  test(`A URL of thumbor with ${name} is refused where URLs are signed`, () => {
    assert.throws(() => parseThumborPath(path, SIGNED), { name: 'RequestError', code: 'signature_invalid' })
  })
}

test("imagor's expiry is in milliseconds, and its attachment has a name", () => {
  const path = '/unsafe/filters:expire(1900000000999):attachment(my%20cat.jpg)/a.jpg'
  const request = parseThumborPath(path, UNSAFE)
  assert.deepEqual(request, {
    source: 'a.jpg',
    spec: { size: { kind: 'full' } },
    format: 'source',
    expires: 1_900_000_000,
    attachment: true,
    fileName: 'my cat.jpg',
  })
  assertNotExpired(request, 1_899_999_999)
  assert.throws(() => assertNotExpired(request, 1_900_000_000), { name: 'RequestError', code: 'signature_expired' })
  assertNotExpired({}, 1_900_000_000)
})

test("What thumbor's parser is given, it answers with a canonical spec or a RequestError", () => {
  assertRobust((path) => parseThumborPath(path, UNSAFE), {
    first: [
      'unsafe',
      'unsafe/300x200',
      'unsafe/fit-in/-300x-200',
      'unsafe/stretch/0x1',
      'unsafe/full-fit-in/7x7',
      'signed',
    ],
    middle: [
      'left',
      'top',
      'smart',
      '100x100',
      'filters:rotate(90)',
      'filters:fill(red):quality(5):blur(3)',
      'trim',
      'meta',
    ].concat(['filters:focal(0.1,0.22222):rotate(270)', 'filters:sharpen(1):upscale()', 'filters:blur(9,0.7)']),
    last: ['a.jpg', 'https://host.example/a.jpg', 'b64:aHR0cHM6', '%zz', ''],
  })
})
