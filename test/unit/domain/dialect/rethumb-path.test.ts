import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseRethumbPath, type RethumbRequest } from '../../../../src/domain/dialect/rethumb-path.ts'
import { assertRobust, summary } from '../../../support/dialects.ts'

const UNDERSTOOD = {
  '/v1/square/175/version/xc98/http://host.example/a.jpg': '175s',
  '/v1/square/100/http://host.example/a.jpg': '100s',
  '/v1/width/300/http://host.example/a.jpg': '300w',
  '/v1/height/200/http://host.example/a.jpg': '200h',
  '/v1/width/300/height/200/http://host.example/a.jpg': '300w200h,fill,up',
  '/v1/height/200/width/300/http://host.example/a.jpg': '300w200h,fill,up',
  '/v1/cover/300x200/http://host.example/a.jpg': '300w200h,cover',
  '/v1/cover/200x200/http://host.example/a.jpg': '200s',
  '/v1/version/1/http://host.example/a.jpg': 'full',
} as const
for (const [path, spec] of Object.entries(UNDERSTOOD)) {
  test(`rethumb's ${path} is "${spec}"`, () => {
    assert.equal(summary(picture(path)), `${spec} source http://host.example/a.jpg`)
  })
}

const FORMATS = { jpg: 'jpg', jpeg: 'jpg', png: 'png', gif: 'gif', webp: 'webp', tiff: 'tiff' } as const
for (const [name, format] of Object.entries(FORMATS)) {
  test(`rethumb's format/${name} is ${format}, wherever it stands`, () => {
    assert.equal(picture(`/v1/square/100/format/${name}/http://h.example/a`).format, format)
    assert.equal(picture(`/v1/format/${name}/square/100/http://h.example/a`).format, format)
  })
}

const URLS = {
  'https://host.example/a%20b.jpg?width/300=1&x=http://other.example/': undefined,
  'https://host.example/width/300/a.jpg': undefined,
  'http:/host.example/a.jpg': undefined,
  'http%3A%2F%2Fhost.example%2Fa%20b.jpg': 'http://host.example/a b.jpg',
} as const
for (const [url, expected] of Object.entries(URLS)) {
  test(`rethumb's image ${url} is all of the rest of the path`, () => {
    assert.equal(picture(`/v1/width/300/${url}`).source, expected ?? url)
  })
}

test("rethumb's version is told", () => {
  assert.deepEqual(parseRethumbPath('/v1/square/175/version/xc98/http://host.example/a.jpg'), {
    kind: 'picture',
    source: 'http://host.example/a.jpg',
    spec: { size: { kind: 'square', side: 175 } },
    format: 'source',
    version: 'xc98',
  })
})

test("rethumb's exif/all asks for no picture", () => {
  const source = 'http://host.example/a.jpg'
  assert.deepEqual(parseRethumbPath(`/v1/exif/all/${source}`), { kind: 'exif', source })
  assert.deepEqual(parseRethumbPath(`/v1/version/2/exif/all/${source}`), { kind: 'exif', source, version: '2' })
})

const REFUSED = {
  '/v1/': /Malformed path/,
  '/v2/width/300/http://h.example/a': /Malformed path/,
  '/v1/width/300/ftp://h.example/a': /Malformed path/,
  '/v1/width/300/h.example/a.jpg': /Malformed path/,
  '/v1/http://h.example/a': /parameter is missing/,
  '/v1/width/http://h.example/a': /"width".*value is missing/,
  '/v1//width/300/http://h.example/a': /""/,
  '/v1/size/300/http://h.example/a': /"size"/,
  '/v1/constructor/300/http://h.example/a': /"constructor"/,
  '/v1/width/0/http://h.example/a': /"width"/,
  '/v1/width/300px/http://h.example/a': /"300px"/,
  '/v1/width/300/width/400/http://h.example/a': /"width\/400"/,
  '/v1/width/300/square/100/http://h.example/a': /only one of width/,
  '/v1/cover/300x200/height/100/http://h.example/a': /only one of width/,
  '/v1/cover/300/http://h.example/a': /"cover\/300"/,
  '/v1/cover/1x2x3/http://h.example/a': /"cover\/1x2x3"/,
  '/v1/format/bmp/http://h.example/a': /"format\/bmp"/,
  '/v1/version/a-b/http://h.example/a': /"version\/a-b"/,
  '/v1/exif/gps/http://h.example/a': /"exif\/gps"/,
  '/v1/exif/all/width/300/http://h.example/a': /"width"/,
  '/v1/width/300/http%3A%2F%2Fh.example/%zz': /percent-encoded/,
} as const
for (const [path, message] of Object.entries(REFUSED)) {
  test(`rethumb's ${path} is refused, and the message says what of it`, () => {
    assert.throws(() => parseRethumbPath(path), { name: 'RequestError', code: 'invalid_path', message })
  })
}

test("What rethumb's parser is given, it answers with a canonical spec or a RequestError", () => {
  const parse = (path: string) => {
    const request = parseRethumbPath(path)
    return request.kind === 'picture' ? request : {}
  }
  assertRobust(parse, {
    first: ['v1/width/300', 'v1/cover/30x20', 'v1/square/7/format/tiff', 'v1', 'v1/format/webp'],
    middle: ['height/9', 'version/a1', 'exif/all', 'width/0', 'format/gif'],
    last: ['http://host.example/a', 'https://host.example/a.jpg', 'http%3A%2F%2Fhost.example%2Fa', ''],
  })
})

function picture(path: string): Extract<RethumbRequest, { readonly kind: 'picture' }> {
  const request = parseRethumbPath(path)
  assert.ok(request.kind === 'picture')
  return request
}
