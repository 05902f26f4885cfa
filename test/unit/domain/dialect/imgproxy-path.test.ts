import assert from 'node:assert/strict'
import { test } from 'node:test'
import { imgproxySignatures } from '../../../../src/domain/dialect/dialect.ts'
import { type ImgproxySettings, parseImgproxyPath } from '../../../../src/domain/dialect/imgproxy-path.ts'
import { assertRobust, summary } from '../../../support/dialects.ts'

const UNSIGNED: ImgproxySettings = { keys: [] }
const SIGNED: ImgproxySettings = {
  keys: [
    { key: 'aa', salt: 'bb' },
    { key: '736563726574', salt: '68656C6C6F' },
  ],
}
const CURIOSITY = '/rs:fill:300:400:0/g:sm/aHR0cDovL2V4YW1w/bGUuY29tL2ltYWdl/cy9jdXJpb3NpdHku/anBn.png'

/** Options, and what they come to with a source behind them. */
const UNDERSTOOD = {
  '': 'full',
  'rs:fit:300:200': '300w200h',
  'resize:fill:300:200': '300w200h,cover',
  'rs:fill:300:200:1': '300w200h,cover,up',
  'rs:fill-down:300:200': '300w200h,cover',
  'rs:force:300:200': '300w200h,fill',
  'rs::300:200': '300w200h',
  'rs:fill:300': '300w',
  'rs:fill::200': '200h',
  'rs:auto:300': '300w',
  'size:300:200:t': '300w200h,up',
  's:300': '300w',
  'w:300': '300w',
  'width:300/height:200/resizing_type:fill': '300w200h,cover',
  'w:300/h:200/rt:fill/w:400': '400w200h,cover',
  'w:0/h:0': 'full',
  'w:200/h:200/rt:fill': '200s',
  'w:0/h:0/el:1/rt:fill/g:no': 'full',
  'w:300/el:true': '300w,up',
  'w:300/enlarge:0': '300w',
  'rs:fit:300:200:0:1': '300w200h,contain',
  'rs:fit:300:200:0:1:no': '300w200h,contain,top',
  'w:300/h:200/ex:1:soea:0:0': '300w200h,contain,bottomright',
  'w:300/ex:1': '300w',
  'rs:fill:300:200:1/ex:1': '300w200h,cover,up',
  'rs:fill:300:200/g:sm': '300w200h,cover,smart',
  'rs:fill:300:200/gravity:nowe': '300w200h,cover,topleft',
  'rs:fill:300:200/g:ce:0:0': '300w200h,cover',
  'rs:fill:300:200/g:fp:0.25:0.333': '300w200h,cover,at25x33.3',
  // Where nothing is cut off, a gravity says nothing.
  'rs:fit:300:200/g:no:10:10': '300w200h',
  'rs:fill:300:0/g:sm': '300w',
  'w:300/dpr:2': '300w,2x',
  'w:300/dpr:1.333': '300w,1.33x',
  'w:300/dpr:1': '300w',
  'q:60': 'full,q60',
  'q:60/quality:0': 'full',
  'bg:FF00aa': 'full,bgff00aa',
  'bg:f0a': 'full,bgff00aa',
  'background:255:0:170': 'full,bgff00aa',
  'bg:255:0:170/bg:': 'full',
  'bl:2.5': 'full,blur2.5',
  'blur:0.3': 'full',
  'sh:0.5': 'full,sharpen',
  'sharpen:0': 'full',
  'rot:90': 'full,rot90',
  'rotate:-90': 'full,rot270',
  'rot:360': 'full',
  'w:300/rot:90': '300w,rot90',
  'fl:1:0': 'full,flop',
  'flip:0:1': 'full,flip',
  'rot:90/fl:1:1': 'full,rot90,flip,flop',
  'sm:1/kcr:1/scp:true/ar:t/cb:whatever': 'full',
  'mw:0/mh:0/z:1/pd:0/mb:0/wm:0/pix:0/raw:0/eth:0/exar:0/c:0:0': 'full',
  'rs%3Afill%3A300%3A200': '300w200h,cover',
} as const
for (const [options, expected] of Object.entries(UNDERSTOOD)) {
  test(`imgproxy's "${options}" is "${expected}"`, () => {
    const path = `/insecure/${options}${options === '' ? '' : '/'}plain/a.jpg`
    assert.equal(summary(parseImgproxyPath(path, UNSIGNED)), `${expected} source a.jpg`)
  })
}

const SOURCES = {
  'plain/https://host.example/a.jpg': 'source https://host.example/a.jpg',
  'plain/https://host.example/a.jpg@webp': 'webp https://host.example/a.jpg',
  'plain/https://host.example/a.jpg@': 'source https://host.example/a.jpg',
  'plain/https%3A%2F%2Fhost.example%2Fa%402x.jpg%3Fv=1@jpeg': 'jpg https://host.example/a@2x.jpg?v=1',
  'plain/https:/host.example/a.jpg': 'source https://host.example/a.jpg',
  'plain/s3://photos/2024/a.jpg%3Fabc': 'source s3://photos/2024/a.jpg?abc',
  'plain/a.jpg@avif': 'avif a.jpg',
  'f:webp/plain/a.jpg': 'webp a.jpg',
  'f:webp/plain/a.jpg@png': 'png a.jpg',
  'ext:gif/plain/a.jpg?utm=1': 'gif a.jpg',
  aHR0cHM6Ly9ob3N0LmV4YW1wbGUvYS5qcGc: 'source https://host.example/a.jpg',
  'aHR0cHM6Ly9ob3N0LmV4YW1wbGUvYS5qcGc=.webp': 'webp https://host.example/a.jpg',
  'aHR0cHM6/Ly9ob3N0LmV4YW1w/bGUvYS5qcGc.png': 'png https://host.example/a.jpg',
} as const
for (const [source, expected] of Object.entries(SOURCES)) {
  test(`imgproxy's source ${source} is "${expected}"`, () => {
    assert.equal(summary(parseImgproxyPath(`/_/${source}`, UNSIGNED)), `full ${expected}`)
  })
}

const REFUSED = {
  '/': /Malformed path/,
  '/insecure': /Malformed path/,
  '/insecure/': /source is missing/,
  '/insecure/w:300': /source is missing/,
  '/insecure/w:300/plain/': /source after "plain\/"/,
  '/insecure/w:300/plain': /source after "plain\/"/,
  '/plain/https://host.example/a.jpg': /should start with a signature/,
  '/rs:fill:300:200/plain/a.jpg': /should start with a signature/,
  '/insecure/enc/abc': /"enc\/"/,
  '/insecure/plain/a@2x.jpg@png': /%40/,
  '/insecure/plain/a.jpg@heic': /"@heic"/,
  '/insecure/plain/%zz': /percent-encoded/,
  '/insecure/aHR0cHM6.Ly9.png': /one dot/,
  '/insecure/***': /base64url/,
  '/insecure/.png': /source is missing/,
  '/insecure/aHR0cHM6.tiff': /".tiff"/,
  '/insecure/rs:auto:300:200/plain/a.jpg': /"auto"/,
  '/insecure/rs:cover:300:200/plain/a.jpg': /"rs:cover:300:200"/,
  '/insecure/rs:force:300/plain/a.jpg': /"force"/,
  '/insecure/rs:fill:300:200:0:1/plain/a.jpg': /"extend"/,
  '/insecure/w:300/h:200/ex:1:fp:0.1:0.1/plain/a.jpg': /"extend"/,
  '/insecure/w:-1/plain/a.jpg': /"w:-1"/,
  '/insecure/w:1000000/plain/a.jpg': /"w:1000000"/,
  '/insecure/w:/plain/a.jpg': /"w:"/,
  '/insecure/el:yes/plain/a.jpg': /"el:yes"/,
  '/insecure/rs:fill:300:200/g:no:10:0/plain/a.jpg': /"g:no:10:0"/,
  '/insecure/g:obj:face/plain/a.jpg': /"g:obj:face"/,
  '/insecure/g:fp:2:0/plain/a.jpg': /"g:fp:2:0"/,
  '/insecure/g:fp/plain/a.jpg': /"g:fp"/,
  '/insecure/g:ce:1:2:3/plain/a.jpg': /"g:ce:1:2:3"/,
  '/insecure/dpr:2/plain/a.jpg': /"dpr:2"/,
  '/insecure/w:300/dpr:5/plain/a.jpg': /"dpr:5"/,
  '/insecure/w:300/dpr:0/plain/a.jpg': /"dpr:0"/,
  '/insecure/q:101/plain/a.jpg': /"q:101"/,
  '/insecure/f:best/plain/a.jpg': /"f:best"/,
  '/insecure/bg:red/plain/a.jpg': /"bg:red"/,
  '/insecure/bg:256:0:0/plain/a.jpg': /"bg:256:0:0"/,
  '/insecure/bl:51/plain/a.jpg': /"bl:51"/,
  '/insecure/rot:45/plain/a.jpg': /"rot:45"/,
  '/insecure/rot:90/fl:1/plain/a.jpg': /"flip"/,
  '/insecure/sm:0/plain/a.jpg': /"sm:0"/,
  '/insecure/ar:0/plain/a.jpg': /"ar:0"/,
  '/insecure/scp:0/plain/a.jpg': /"scp:0"/,
  '/insecure/min-width:100/plain/a.jpg': /"min-width:100"/,
  '/insecure/zoom:2/plain/a.jpg': /"zoom:2"/,
  '/insecure/crop:100:100/plain/a.jpg': /"crop:100:100"/,
  '/insecure/trim:10/plain/a.jpg': /"trim:10"/,
  '/insecure/padding:10/plain/a.jpg': /"padding:10"/,
  '/insecure/watermark:0.5/plain/a.jpg': /"watermark:0.5"/,
  '/insecure/pr:sharp/plain/a.jpg': /"pr:sharp"/,
  '/insecure/fq:webp:60/plain/a.jpg': /"fq:webp:60"/,
  '/insecure/raw:1/plain/a.jpg': /"raw:1"/,
  '/insecure/exp:soon/plain/a.jpg': /"exp:soon"/,
  '/insecure/fn:a%0Ab/plain/a.jpg': /control characters/,
  '/insecure/fn:***:1/plain/a.jpg': /base64url/,
  '/insecure/constructor:1/plain/a.jpg': /"constructor:1"/,
} as const
for (const [path, message] of Object.entries(REFUSED)) {
  test(`imgproxy's ${path} is refused, and the message says what of it`, () => {
    assert.throws(() => parseImgproxyPath(path, UNSIGNED), { name: 'RequestError', code: 'invalid_path', message })
  })
}

test('A URL of imgproxy that any of the keys signed is read, even if a proxy made one slash of two', () => {
  const path = `/oKfUtW34Dvo2BGQehJFR4Nr0_rIjOtdtzJ3QFsUcXH8${CURIOSITY}`
  const curiosity = '300w400h,cover,smart png http://example.com/images/curiosity.jpg'
  assert.equal(summary(parseImgproxyPath(path, SIGNED)), curiosity)
  const plain = '/w:300/plain/https://host.example/a.jpg'
  const [, signature = ''] = imgproxySignatures(plain, SIGNED)
  for (const text of [plain, plain.replace('//', '/'), `${plain}?utm=1`]) {
    assert.equal(summary(parseImgproxyPath(`/${signature}${text}`, SIGNED)), '300w source https://host.example/a.jpg')
  }
})

test('A signature of imgproxy can be shorter', () => {
  const settings: ImgproxySettings = { ...SIGNED, sizeBytes: 8 }
  assert.match(summary(parseImgproxyPath(`/oKfUtW34Dvo${CURIOSITY}`, settings)), /^300w400h/)
  assert.throws(() => parseImgproxyPath(`/oKfUtW34Dvo2BGQehJFR4Nr0_rIjOtdtzJ3QFsUcXH8${CURIOSITY}`, settings), {
    code: 'signature_invalid',
  })
})

const FORGED = {
  'no signature': '/insecure',
  'another signature': '/pKfUtW34Dvo2BGQehJFR4Nr0_rIjOtdtzJ3QFsUcXH8',
  'a part of a signature': '/oKfUtW34Dvo',
  'an empty signature': '/',
} as const
for (const [name, signature] of Object.entries(FORGED)) {
  test(`A URL of imgproxy with ${name} is refused where URLs are signed`, () => {
    assert.throws(() => parseImgproxyPath(`${signature}${CURIOSITY}`, SIGNED), { code: 'signature_invalid' })
  })
}

test("imgproxy's expiry, file name and attachment are told", () => {
  const path = '/insecure/exp:1900000000/fn:my%20cat.jpg/att:1/plain/a.jpg'
  assert.deepEqual(parseImgproxyPath(path, UNSIGNED), {
    source: 'a.jpg',
    spec: { size: { kind: 'full' } },
    format: 'source',
    expires: 1_900_000_000,
    attachment: true,
    fileName: 'my cat.jpg',
  })
  const { fileName } = parseImgproxyPath('/insecure/fn:Y2F0LmpwZw:1/exp:0/att:0/plain/a.jpg', UNSIGNED)
  assert.equal(fileName, 'cat.jpg')
})

test("What imgproxy's parser is given, it answers with a canonical spec or a RequestError", () => {
  assertRobust((path) => parseImgproxyPath(path, UNSIGNED), {
    first: ['insecure', '_', 'x/w:300', 'x/rs:fill:300:200', 'x/rs:fit:7:7:0:1:no', 'x/h:0300'],
    middle:
      'g:sm g:fp:0.111111:1 dpr:1.23456 rot:270 fl:1:1 el:1 bg:1:2:3 rt:force q:1 f:webp w:99999999 bl:1.2345 pd:1'.split(
        ' ',
      ),
    last: ['plain/a.jpg', 'plain/c.jpg@png', 'aHR0cHM6', 'aHR0cHM6.webp', 'plain/%zz', ''],
  })
})
