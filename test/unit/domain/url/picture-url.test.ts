import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatPictureUrl, parsePictureUrl, signedPath } from '../../../../src/domain/url/picture-url.ts'

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

const INVALID = [
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
for (const url of INVALID) {
  test(`${url} is no URL of a picture`, () => {
    assert.throws(() => parsePictureUrl(url), { name: 'RequestError', code: 'invalid_path' })
  })
}
