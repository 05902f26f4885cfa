import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { generateImageUrl } from '@imgproxy/imgproxy-node'
import sharp from 'sharp'
import { assertAlike } from '../../tools/pictures/perceive.ts'
import { assertPicture } from '../../tools/pictures/picture.ts'
import { commandOutput } from '../../tools/processes/process.ts'
import { filesBelow } from '../../tools/requests/ask.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { fixture, uploadFixture } from '../../tools/servers/darkroom.ts'
import { ensureLibthumbor } from '../../tools/servers/install-servers.ts'
import { startRemoteSite } from '../../tools/servers/remote-site.ts'
import { AUTHORIZATION, startSite, TOKEN } from '../../tools/servers/site.ts'

const MOUNTED = { DIALECTS: 'thumbor=/thumbor imgproxy=/imgproxy ipx=ipx.example' }

test('One original asked for in five grammars is fetched once, and one picture', async (t) => {
  const { env, host, origin, pages } = await startRemoteSite(t)
  const photograph = await fixture('mountains.jpg')
  pages.set('/a.jpg', { body: photograph })
  const { url, node } = await startSite(t, { ...env, ...MOUNTED })
  const original = `${origin}/a.jpg`
  const encoded = encodeURIComponent(original)
  const GRAMMARS = [
    [`/image?url=${encoded}&size=300w200h,cover&format=jpg`],
    [`/v1/format/jpg/cover/300x200/${original}`],
    [`/thumbor/unsafe/300x200/filters:no_upscale():format(jpg)/${original}`],
    [`/imgproxy/insecure/rs:fill:300:200/plain/${encoded}@jpg`],
    [`/imgproxy/insecure/rs:fill:300:200/${Buffer.from(original).toString('base64url')}.jpg`],
    [`/s_300x200,f_jpg/${original}`, 'ipx.example'],
  ] as const
  const answers = await Promise.all(
    GRAMMARS.map(([path, name]) => rawRequest(url, path, { headers: name === undefined ? {} : { Host: name } })),
  )
  const [first] = answers
  assert.ok(first)
  assert.equal(first.status, 200)
  await assertPicture(first.body, { format: 'jpeg', width: 300 })
  for (const [index, { status, headers, body }] of answers.entries()) {
    assert.deepEqual(
      [status, headers['content-type'], headers.etag],
      [200, 'image/jpeg', first.headers.etag],
      GRAMMARS[index]?.[0],
    )
    assert.deepEqual(body, first.body)
  }
  assert.equal(host.requests.length, 1)
  const files = await filesBelow(join(node.cacheDir, 'renditions', 'version'))
  assert.deepEqual(
    files.map((file) => file.split('/').at(-1)),
    ['300w200h,cover.jpg'],
  )
})

test('A URL that names no format gets that of the original, or the best one where the site wants that', async (t) => {
  const { env, origin, pages } = await startRemoteSite(t)
  const picture = sharp({ create: { width: 60, height: 40, channels: 3, background: 'red' } })
  pages.set('/a.png', { body: await picture.png().toBuffer() })
  pages.set('/a.tiff', { body: await picture.tiff().toBuffer() })
  const { url } = await startSite(t, { ...env, ...MOUNTED, INPUT_FORMATS: 'jpeg png tiff' })
  const best = await startSite(t, { ...env, ...MOUNTED, DIALECT_FORMAT: 'negotiated' })
  const headers = { Accept: 'image/avif,image/webp' }
  const CASES = [
    [url, `/thumbor/unsafe/30x20/${origin}/a.png`, 'image/png', undefined],
    [url, `/imgproxy/x/w:30/plain/${origin}/a.png`, 'image/png', undefined],
    [best.url, `/imgproxy/x/w:30/plain/${origin}/a.png`, 'image/webp', 'Accept'],
    [url, `/v1/width/30/${origin}/a.png`, 'image/png', undefined],
    [url, `/v1/width/30/${origin}/a.tiff`, 'image/png', undefined],
    [url, `/v1/width/30/format/tiff/${origin}/a.png`, 'image/tiff', undefined],
  ] as const
  for (const [at, path, type, vary] of CASES) {
    for (const times of [1, 2]) {
      const answer = await rawRequest(at, path, { headers })
      assert.deepEqual(
        [answer.status, answer.headers['content-type'], answer.headers.vary],
        [200, type, vary],
        `${path} ${times}`,
      )
      await assertPicture(answer.body, {
        format: type.slice('image/'.length),
        width: 30,
      })
    }
  }
})

test('What rethumb asks for is done, distortion included, and errors are pictures', async (t) => {
  const { env, host, origin, pages } = await startRemoteSite(t)
  const photograph = await sharp(await fixture('mountains.jpg'))
    .withExif({
      IFD0: { Make: 'Kamera' },
      IFD2: { ExposureTime: '1/250' },
      IFD3: {
        GPSLatitudeRef: 'N',
        GPSLatitude: '51/1 30/1 0/100',
        GPSLongitudeRef: 'W',
        GPSLongitude: '0/1 7/1 1200/100',
      },
    })
    .jpeg()
    .toBuffer()
  pages.set('/a.jpg', { body: photograph })
  const { url } = await startSite(t, { ...env, SHOW_GPS: 'true' })
  const size = async (path: string) => {
    const { body } = await rawRequest(url, path)
    const { width, height } = await sharp(body).metadata()
    return [width, height]
  }
  assert.deepEqual(await size(`/v1/width/100/height/100/${origin}/a.jpg`), [100, 100])
  assert.deepEqual(await size(`/v1/square/80/${origin}/a.jpg`), [80, 80])
  assert.equal(host.requests.length, 1)
  await size(`/v1/square/80/version/2/${origin}/a.jpg`)
  assert.equal(host.requests.length, 2, 'another version is fetched anew')

  const exif = await rawRequest(url, `/v1/exif/all/${origin}/a.jpg`, { headers: AUTHORIZATION })
  const { IFD0, EXIF, GPS } = jsonFields(exif.body)
  assert.equal(jsonFields(JSON.stringify(IFD0)).Make, 'Kamera')
  assert.equal(jsonFields(JSON.stringify(EXIF)).ExposureTime, '1/250')
  assert.deepEqual(jsonFields(JSON.stringify(GPS)).GPSLatitude, ['51/1', '30/1', '0/100'])

  const ERRORS = [
    [`/v1/width/x/${origin}/a.jpg`, 400, /^invalid_path: .*width/],
    [`/v1/width/30/${origin}/none.jpg`, 400, /^original_not_found: /],
    ['/v1/width/30/http://other.test/a.jpg', 400, /^remote_not_allowed: /],
    [`/v1/exif/all/${origin}/a.jpg`, 400, /^token_required: /],
    ['/v1', 400, /^invalid_path: /],
  ] as const
  for (const [path, status, message] of ERRORS) {
    const answer = await rawRequest(url, path)
    assert.deepEqual(
      [answer.status, answer.headers['content-type'], answer.headers['cache-control']],
      [status, 'image/png', 'no-store'],
      path,
    )
    assert.match(String(answer.headers['rethumb-error-message']), message)
    assert.equal((await sharp(answer.body).metadata()).format, 'png')
  }
  assert.equal((await rawRequest(url, '/v1/width/30/x', { method: 'POST' })).status, 405)
})

const THUMBOR_KEY = 'my-security-key'
const IMGPROXY_KEYS = { key: '736563726574', salt: '68656c6c6f' }
const PYTHON =
  'import sys; from libthumbor import CryptoURL; print(CryptoURL(key=sys.argv[1]).generate(width=120, height=80, smart=True, image_url=sys.argv[2]))'

test('URLs that the libraries of thumbor and imgproxy have signed open pictures, and others do not', async (t) => {
  const { url, node } = await startSite(t, {
    DIALECTS: 'thumbor=/thumbor imgproxy=/imgproxy',
    THUMBOR_KEYS: `an-older-key ${THUMBOR_KEY}`,
    IMGPROXY_KEYS: `${IMGPROXY_KEYS.key}:${IMGPROXY_KEYS.salt}`,
    IMGPROXY_BASE: 'image/',
    SIZE_POLICY: 'signed',
    URL_KEYS: 'a-key-of-this-test-only',
  })
  const id = await uploadFixture(node.url, 'mountains.jpg', TOKEN)
  const thumbor = `/thumbor${(await commandOutput(await ensureLibthumbor(), ['-c', PYTHON, THUMBOR_KEY, `image/${id}`]))?.trim()}`
  const imgproxy = generateImageUrl({
    endpoint: '/imgproxy',
    url: id,
    options: { resize: { resizing_type: 'fill', width: 120, height: 80 }, gravity: { type: 'sm' }, format: 'webp' },
    ...IMGPROXY_KEYS,
  })
  for (const path of [thumbor, imgproxy]) {
    const { status, headers, body } = await rawRequest(url, path)
    assert.equal(status, 200, path)
    await assertPicture(body, { format: path === thumbor ? 'jpeg' : 'webp', width: 120 })
    assert.equal(headers['cache-control'], 'public, max-age=31536000, immutable')
    assert.equal((await rawRequest(url, path.replace('120', '121'))).status, 403)
  }
  await assertAlike((await rawRequest(url, thumbor)).body, (await rawRequest(url, imgproxy)).body, 6)
  assert.equal((await rawRequest(url, `/thumbor/unsafe/120x80/image/${id}`)).status, 403)
  assert.equal((await rawRequest(url, `/image/${id}/120w`)).status, 403)
})

test('What a grammar asks for and is not done is refused by its name, sizes off the list are refused too, and expiries count', async (t) => {
  const { env, origin, pages } = await startRemoteSite(t)
  pages.set('/a.jpg', { body: await fixture('mountains.jpg') })
  const { url } = await startSite(t, { ...env, ...MOUNTED, SIZE_POLICY: 'list', SIZES: '30w 40w' })
  const expired = Math.floor(Date.now() / 1000) - 10
  const CASES = [
    [`/imgproxy/x/w:30/plain/${origin}/a.jpg`, 200, undefined],
    [`/imgproxy/x/w:31/plain/${origin}/a.jpg`, 403, /"31w"/],
    [`/imgproxy/x/w:30/watermark:1/plain/${origin}/a.jpg`, 400, /"watermark:1"/],
    [`/thumbor/unsafe/trim/30x/${origin}/a.jpg`, 400, /"trim"/],
    [`/imgproxy/x/w:30/exp:${expired}/plain/${origin}/a.jpg`, 403, /has expired/],
    ['/imgproxy/x/w:30/plain/s3://none/a.jpg', 404, /alias "none"/],
    ['/imgproxy/x/w:30/plain/a.jpg', 400, /not an absolute source/],
  ] as const
  for (const [path, status, message] of CASES) {
    const answer = await rawRequest(url, path)
    assert.equal(answer.status, status, path)
    if (message) assert.match(String(jsonFields(answer.body).message), message)
  }
  const soon = Math.floor(Date.now() / 1000) + 100
  const dated = await rawRequest(url, `/imgproxy/x/w:30/exp:${soon}/att:1/fn:cat/plain/${origin}/a.jpg`)
  assert.match(String(dated.headers['cache-control']), /^public, max-age=\d{1,3}$/)
  assert.match(String(dated.headers['content-disposition']), /^attachment; filename="?cat/)
  assert.equal(dated.headers['content-type'], 'image/jpeg')
  assert.equal((await rawRequest(url, `/thumbors/unsafe/30x/${origin}/a.jpg`)).status, 404)
  assert.equal((await rawRequest(url, `/imgproxy/x/w:30/plain/${origin}/a.jpg`, { method: 'POST' })).status, 404)
})
