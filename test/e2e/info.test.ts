import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import sharp from 'sharp'
import { originalFile } from '../../src/domain/stored/cache-layout.ts'
import { infoKey } from '../../src/domain/stored/store-layout.ts'
import { PLACE_TRACES, wellDescribed } from '../../tools/pictures/metadata.ts'
import { idOf } from '../../tools/pictures/picture.ts'
import { logged } from '../../tools/requests/ask.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { backgroundIsDone, fixture, upload, uploadFixture } from '../../tools/servers/darkroom.ts'
import { AUTHORIZATION, startNodeFor, startSite, TOKEN, temporaryFolder } from '../../tools/servers/site.ts'

const PUBLIC_FIELDS = [
  'alpha',
  'bitsPerSample',
  'blurHash',
  'bytes',
  'colorSpace',
  'dominantColor',
  'format',
  'frames',
  'height',
  'iccProfile',
  'id',
  'orientation',
  'perceptualHash',
  'stored',
  'thumbHash',
  'uploadedAt',
  'urls',
  'width',
]
const TOKEN_FIELDS = ['artist', 'camera', 'caption', 'capturedAt', 'copyright', 'metadata']

const infoPath = (id: string) => `/images/${id}/info`

/** With EXIF, IPTC and XMP, and a place in each. */
async function describedPicture(): Promise<{ bytes: Buffer; id: string }> {
  const bytes = await wellDescribed(await fixture('mountains-orientation-6.jpg'))
  return { bytes, id: idOf(bytes) }
}

/** The time of the upload has digits of its own, which may be those of the place. */
function assertPlaceless(json: string): void {
  assert.doesNotMatch(json.replace(/"uploadedAt":"[^"]+"/, ''), PLACE_TRACES)
}

test('Everybody sees the picture’s facts, a token shows the file’s own words, and none of both a place', async (t) => {
  const { url, node } = await startSite(t)
  const { bytes, id } = await describedPicture()
  assert.equal((await upload(url, bytes, 'image/jpeg', TOKEN)).status, 201)
  await backgroundIsDone(node)
  const open = await rawRequest(url, infoPath(id))
  assert.equal(open.status, 200)
  assert.deepEqual(Object.keys(jsonFields(open.body)).toSorted(), PUBLIC_FIELDS)
  const { stored, orientation, width, height } = jsonFields(open.body)
  assert.deepEqual([stored, orientation, width, height], [{ width: 900, height: 1200 }, 6, 1200, 900])
  assert.match(String(open.headers['content-type']), /^application\/json/)
  assert.deepEqual([open.headers['cache-control'], open.headers.vary], ['no-cache', 'Authorization'])

  const full = await rawRequest(url, infoPath(id), { headers: AUTHORIZATION })
  assert.deepEqual(Object.keys(jsonFields(full.body)).toSorted(), [...PUBLIC_FIELDS, ...TOKEN_FIELDS].toSorted())
  assert.deepEqual([full.headers['cache-control'], full.headers.vary], ['private, no-cache', 'Authorization'])
  assert.notEqual(full.headers.etag, open.headers.etag)
  const { capturedAt, camera } = jsonFields(full.body)
  assert.equal(capturedAt, '2026-05-04T06:07:08.25+02:00')
  assert.equal(jsonFields(JSON.stringify(camera))['model'], 'Fixture One')

  for (const { body } of [open, full]) assertPlaceless(String(body))
  for (const Authorization of ['Bearer a-token-for-tests-onlx', 'Basic YTpi', 'Bearer']) {
    const other = await rawRequest(url, infoPath(id), { headers: { Authorization } })
    assert.deepEqual([other.status, other.headers.etag], [200, open.headers.etag], Authorization)
  }
  const record = await rawRequest(url, `/images/${id}`)
  assert.equal('thumbHash' in jsonFields(record.body), false, 'the record needs no look at what was measured')
})

test('Where a picture was taken is told if that is set, and even then to holders of a token only', async (t) => {
  const { url } = await startSite(t, { SHOW_GPS: 'true' })
  const { bytes, id } = await describedPicture()
  await upload(url, bytes, 'image/jpeg', TOKEN)
  const full = jsonFields((await rawRequest(url, infoPath(id), { headers: AUTHORIZATION })).body)
  assert.deepEqual(full['gps'], { latitude: 51.4778111, longitude: -0.001475, altitude: 46.12 })
  const { gps: _gps, ...rest } = full
  assertPlaceless(JSON.stringify(rest))
  assertPlaceless(String((await rawRequest(url, infoPath(id))).body))
})

test('A copy that is still right is 304, for each audience its own; HEAD has the headers of GET', async (t) => {
  const { url } = await startSite(t)
  const { bytes, id } = await describedPicture()
  await upload(url, bytes, 'image/jpeg', TOKEN)
  const tags: string[] = []
  for (const headers of [{}, AUTHORIZATION]) {
    const got = await rawRequest(url, infoPath(id), { headers })
    const tag = String(got.headers.etag)
    const again = await rawRequest(url, infoPath(id), { headers: { ...headers, 'If-None-Match': tag } })
    assert.deepEqual([again.status, again.body.length], [304, 0])
    const head = await rawRequest(url, infoPath(id), { method: 'HEAD', headers })
    assert.deepEqual([head.status, head.body.length], [200, 0])
    assert.equal(Number(head.headers['content-length']), got.body.length)
    for (const name of ['cache-control', 'vary', 'etag'] as const) {
      assert.equal(again.headers[name], got.headers[name])
      assert.equal(head.headers[name], got.headers[name])
    }
    tags.push(tag)
  }
  const [open = ''] = tags
  const crossed = await rawRequest(url, infoPath(id), { headers: { ...AUTHORIZATION, 'If-None-Match': open } })
  assert.equal(crossed.status, 200)
})

test('What never was is 404, what was deleted is 410 and its info gone from the store, and other methods are 405', async (t) => {
  const folder = await temporaryFolder(t)
  const { url, node } = await startSite(t, { STORE: `file:${folder}` })
  const id = await uploadFixture(url, 'mountains-gps.jpg', TOKEN)
  await backgroundIsDone(node)
  assert.ok(existsSync(join(folder, infoKey(id))))
  assert.equal((await rawRequest(url, infoPath(id))).status, 200)
  await rawRequest(url, `/images/${id}`, { method: 'DELETE', headers: AUTHORIZATION })
  for (const headers of [{}, AUTHORIZATION]) {
    const { status, body } = await rawRequest(url, infoPath(id), { headers })
    assert.deepEqual([status, jsonFields(body)['error']], [410, 'original_deleted'])
  }
  assert.equal(existsSync(join(folder, infoKey(id))), false)
  assert.equal((await rawRequest(url, infoPath('0'.repeat(40)))).status, 404)
  assert.equal((await rawRequest(url, infoPath('nothing'))).status, 400)
  const posted = await rawRequest(url, infoPath(id), { method: 'POST', headers: AUTHORIZATION })
  assert.deepEqual([posted.status, posted.headers.allow], [405, 'HEAD, GET'])
})

test('An image from before there were infos is measured when somebody asks, and a new node reads what is there', async (t) => {
  const folder = await temporaryFolder(t)
  const env = { STORE: `file:${folder}` }
  const first = await startNodeFor(t, { env })
  const id = await uploadFixture(first.url, 'brushes-p3.jpg')
  await backgroundIsDone(first)
  const info = (await rawRequest(first.url, infoPath(id))).body
  await first.stop()
  const other = await startNodeFor(t, { env })
  assert.deepEqual((await rawRequest(other.url, infoPath(id))).body, info)
  assert.equal(existsSync(join(other.cacheDir, 'originals', originalFile(id))), false, 'the original was not fetched')
  await rm(join(folder, infoKey(id)))
  const third = await startNodeFor(t, { env })
  assert.deepEqual((await rawRequest(third.url, infoPath(id))).body, info)
  await backgroundIsDone(third)
  assert.ok(existsSync(join(folder, infoKey(id))), 'and kept for the next one')
})

test('A store that takes no info costs nobody the answer', async (t) => {
  const folder = await temporaryFolder(t)
  // A file where its folder would be: the rest of the store works.
  const obstacle = join(folder, 'infos')
  await mkdir(dirname(obstacle), { recursive: true })
  await writeFile(obstacle, '')
  const node = await startNodeFor(t, { env: { STORE: `file:${folder}` } })
  const id = await uploadFixture(node.url, 'stream.webp')
  await backgroundIsDone(node)
  const answers = [await rawRequest(node.url, infoPath(id)), await rawRequest(node.url, infoPath(id))]
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200],
  )
  assert.deepEqual(answers[0]?.body, answers[1]?.body)
  assert.equal((await rawRequest(node.url, `/images/${id}`, { method: 'DELETE', headers: AUTHORIZATION })).status, 204)
  assert.equal((await rawRequest(node.url, infoPath(id))).status, 410)
  await logged(node, ({ msg }) => String(msg).includes('Image information could not be written'))
})

test('A picture whose metadata is all bad is taken in, shown, and told of', async (t) => {
  const node = await startNodeFor(t)
  const jpeg = await sharp(await fixture('mountains.jpg'))
    .resize(64)
    .jpeg()
    .toBuffer()
  const bad = Buffer.concat([
    jpeg.subarray(0, 2),
    Buffer.from([0xff, 0xe1, 0xff, 0xff]),
    Buffer.from('Exif\0\0II*\0\x08\0\0\0\xff\xff', 'latin1'),
    Buffer.alloc(65_533 - 16, '\x0f\x01\x02\0\xff\xff\0\0\x08\0\0\0', 'latin1'),
    jpeg.subarray(2),
  ])
  assert.equal((await upload(node.url, bad)).status, 201)
  const { status, body } = await rawRequest(node.url, infoPath(idOf(bad)))
  assert.equal(status, 200)
  assert.ok(body.length < 65_536)
  assert.match(String(jsonFields(body)['dominantColor']), /^#[0-9a-f]{6}$/)
  assert.equal(await node.metric('darkroom_renderer_crashes_total'), 0)
})
