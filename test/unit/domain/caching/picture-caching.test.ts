import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cacheTag, uploadCaching, versionCaching } from '../../../../src/domain/caching/picture-caching.ts'
import { transientId, versionId } from '../../../../src/domain/identity/image-id.ts'

const FILE = { mtimeSeconds: 1_700_000_000, sizeBytes: 1000 }
const NOW = 1_800_000_000_000
const FRESHNESS = { freshSeconds: 60, staleWhileRevalidateSeconds: 30, staleIfErrorSeconds: 3600 }
const VERSION = {
  id: versionId('r', '1'),
  checkedAt: NOW - 12_345,
  freshness: FRESHNESS,
  isFixed: false,
  modifiedAt: new Date(1_750_000_000_000),
}

test('A picture of an upload may be kept for ever', () => {
  const { cacheControl, ageSeconds } = uploadCaching(FILE)
  assert.equal(cacheControl, 'public, max-age=31536000, immutable')
  assert.equal(ageSeconds, undefined)
})

test('A picture of what may change says how long it may be used, and how much of that is over', () => {
  const { cacheControl, ageSeconds, validators } = versionCaching(FILE, VERSION, NOW)
  assert.equal(cacheControl, 'public, max-age=60, stale-while-revalidate=30, stale-if-error=3600')
  assert.equal(ageSeconds, 12)
  assert.equal(validators.lastModified, VERSION.modifiedAt.toUTCString())
})

test('It was changed when the original was, or when the pipeline was: whichever is later', () => {
  const older = { ...VERSION, modifiedAt: new Date(1_600_000_000_000) }
  const { modifiedAt: _unknown, ...unsaid } = VERSION
  for (const version of [older, unsaid]) {
    assert.equal(versionCaching(FILE, version, NOW).validators.lastModified, new Date(1_700_000_000_000).toUTCString())
  }
})

test('Files of one size have different ETags if their versions differ', () => {
  const other = { ...VERSION, id: versionId('r', '2') }
  const etags = [versionCaching(FILE, VERSION, NOW), versionCaching(FILE, other, NOW), uploadCaching(FILE)].map(
    ({ validators }) => validators.etag,
  )
  assert.equal(new Set(etags).size, 3)
  for (const etag of etags) assert.match(etag, /^"[0-9a-f-]+"$/)
})

test('A version that was asked for by its name may be kept for ever', () => {
  const { cacheControl, ageSeconds } = versionCaching(FILE, { ...VERSION, isFixed: true }, NOW)
  assert.equal(cacheControl, 'public, max-age=31536000, immutable')
  assert.equal(ageSeconds, undefined)
})

test('What nobody may keep says so', () => {
  assert.equal(versionCaching(FILE, { ...VERSION, id: transientId('r', '1') }, NOW).cacheControl, 'no-store')
})

test('No copy outlives a signature', () => {
  assert.equal(versionCaching(FILE, VERSION, NOW, 20).cacheControl, 'public, max-age=32', 'of which 12 are over')
  assert.equal(versionCaching(FILE, VERSION, NOW, 100).cacheControl, 'public, max-age=60')
  assert.equal(versionCaching(FILE, VERSION, NOW, -20).cacheControl, 'public, max-age=0')
})

test('A clock that was set back makes no negative age', () => {
  assert.equal(versionCaching(FILE, VERSION, NOW - 60_000).ageSeconds, 0)
})

const ID = '3f2a'.padEnd(40, '0')
const TAGS = [
  [{ kind: 'image', id: ID }, ID],
  [{ kind: 'object', bucket: 'photos', key: 'a b/c,d.jpg' }, 'photos,photos/a%20b/c%2Cd.jpg'],
  [{ kind: 'object', bucket: 'photos', key: 'x'.repeat(1024) }, 'photos'],
  [{ kind: 'remote', url: 'https://a.example/b,c.jpg?d=%20' }, 'a.example,https://a.example/b%2Cc.jpg?d=%20'],
] as const
for (const [original, tag] of TAGS) {
  test(`What is made of ${JSON.stringify(original).slice(0, 80)} has the tag ${tag}`, () => {
    assert.equal(cacheTag(original), tag)
  })
}
