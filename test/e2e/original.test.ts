import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { createFileStore } from '../../src/adapters/file-store/file-store.ts'
import { formatRecord } from '../../src/domain/info/image-record.ts'
import { originalKey, recordKey } from '../../src/domain/stored/store-layout.ts'
import { idOf } from '../../tools/pictures/picture.ts'
import { jsonFields, rawRequest } from '../../tools/requests/raw-request.ts'
import { fixture, uploadFixture } from '../../tools/servers/darkroom.ts'
import { AUTHORIZATION, startNginxFor, startNodeFor, TOKEN, temporaryFolder } from '../../tools/servers/site.ts'

const FORMATS = 'jpeg png gif tiff'
const ORIGINALS = [
  ['mountains.jpg', 'image/jpeg', 'jpg'],
  ['dandelion.gif', 'image/gif', 'gif'],
  ['fig-alpha.png', 'image/png', 'png'],
  ['gradient.tiff', 'image/tiff', 'tiff'],
] as const
const BROKEN = ['gradient-lzma.tiff', 'image/tiff', 'tiff'] as const

/** What a node with these settings says of pictures of those originals. */
const LATER = [
  [{ MAX_UPLOAD_BYTES: '1K' }, [...ORIGINALS, BROKEN], 413],
  [{ MAX_PIXELS: '700' }, [...ORIGINALS, BROKEN], 413],
  [{ MAX_FRAMES: '1' }, ORIGINALS.slice(1, 2), 413],
  [{ INPUT_FORMATS: 'avif' }, [...ORIGINALS, BROKEN], 415],
  [{}, [BROKEN], 422],
] as const

/** An image as an earlier version may have taken it. @returns its id. */
async function plant(folder: string, bytes: Buffer): Promise<string> {
  const store = createFileStore(folder)
  const id = idOf(bytes)
  const uploadedAt = new Date().toISOString()
  const facts = { width: 32, height: 24, format: 'tiff', alpha: false, frames: 1 } as const
  const record = Buffer.from(formatRecord({ id, bytes: bytes.length, uploadedAt, ...facts }))
  const never = new AbortController().signal
  for (const [key, content, contentType] of [
    [originalKey(id), bytes, 'image/tiff'],
    [recordKey(id), record, 'application/json'],
  ] as const) {
    const md5 = createHash('md5').update(content).digest('hex')
    await store.put(key, { bytes: content }, { contentType, sizeBytes: content.length, md5 }, never)
  }
  return id
}

test('An original comes back byte for byte whatever the settings are now, although it is not rendered any more', async (t) => {
  const folder = await temporaryFolder(t)
  const env = { STORE: `file:${folder}/store`, UPLOAD_TOKENS: TOKEN }
  // A picture with a mezzanine is rendered from it whatever the original is now.
  const first = await startNodeFor(t, { env: { ...env, INPUT_FORMATS: FORMATS, MEZZANINE_MIN_PIXELS: '0' } })
  for (const [name] of ORIGINALS) await uploadFixture(first.url, name, TOKEN)
  await plant(`${folder}/store`, await fixture(BROKEN[0]))
  await first.stop()
  for (const [settings, originals, status] of LATER) {
    const later = { ...env, INPUT_FORMATS: FORMATS, ...settings, ACCEL_PREFIX: '/_renditions/' }
    const node = await startNodeFor(t, { env: later })
    const { origin } = await startNginxFor(t, node)
    for (const [name, type, extension] of originals) {
      const about = `${name} with ${JSON.stringify(settings)}`
      const bytes = await fixture(name)
      const id = idOf(bytes)
      const path = `/images/${id}/original`
      // The refusal is remembered for a moment.
      assert.equal((await rawRequest(node.url, `/image/${id}/16w/x.png`)).status, status, about)
      for (const url of [node.url, origin]) {
        const whole = await rawRequest(url, path, { headers: AUTHORIZATION })
        assert.equal(whole.status, 200, `${about}: ${whole.body.toString('latin1', 0, 200)}`)
        assert.deepEqual(whole.body, bytes)
        assert.equal(whole.headers['content-type'], type)
        assert.equal(whole.headers['content-disposition'], `attachment; filename="${id}.${extension}"`)
        const part = await rawRequest(url, path, { headers: { ...AUTHORIZATION, Range: 'bytes=100-199' } })
        assert.deepEqual([part.status, part.body], [206, bytes.subarray(100, 200)])
        assert.equal(part.headers['content-range'], `bytes 100-199/${bytes.length}`)
      }
    }
  }
})

test('A range of an original is answered as that, one beyond its end as 416, and one of other bytes as all of it', async (t) => {
  const node = await startNodeFor(t, { env: { UPLOAD_TOKENS: TOKEN } })
  const bytes = await fixture('fig-alpha.png')
  const id = await uploadFixture(node.url, 'fig-alpha.png', TOKEN)
  const ask = (headers: Record<string, string>, method = 'GET') =>
    rawRequest(node.url, `/images/${id}/original`, { method, headers: { ...AUTHORIZATION, ...headers } })
  const whole = await ask({})
  assert.equal(whole.headers['accept-ranges'], 'bytes')
  const etag = String(whole.headers.etag)
  const end = await ask({ Range: 'bytes=-10', 'If-Range': etag })
  assert.deepEqual([end.status, end.body], [206, bytes.subarray(-10)])
  const head = await ask({ Range: 'bytes=0-9' }, 'HEAD')
  assert.deepEqual([head.status, head.headers['content-length'], head.body.length], [206, '10', 0])
  const other = await ask({ Range: 'bytes=-10', 'If-Range': '"another"' })
  assert.deepEqual([other.status, other.body], [200, bytes])
  const beyond = await ask({ Range: `bytes=${bytes.length}-` })
  assert.deepEqual([beyond.status, beyond.headers['content-range']], [416, `bytes */${bytes.length}`])
  assert.equal(jsonFields(beyond.body)['error'], 'range_not_satisfiable')
})
