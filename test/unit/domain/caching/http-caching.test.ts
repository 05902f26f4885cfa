import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  fileValidators,
  isNotModified,
  isPreconditionFailed,
  renditionCacheControl,
  selectRange,
  uploadCaching,
  versionCaching,
} from '../../../../src/domain/caching/http-caching.ts'
import { transientId, versionId } from '../../../../src/domain/identity/image-id.ts'

const VALIDATORS = fileValidators(1_700_000_000, 1000)
const { etag: ETAG, lastModified: DATE } = VALIDATORS
const LATER = new Date(1_700_000_001_000).toUTCString()
const EARLIER = new Date(1_699_999_999_000).toUTCString()

test('The validators of a file are those that nginx gives it', () => {
  assert.deepEqual(VALIDATORS, { etag: '"6553f100-3e8"', lastModified: 'Tue, 14 Nov 2023 22:13:20 GMT' })
})

test('A rendition may be kept for a year, but no longer than its signature holds', () => {
  assert.equal(renditionCacheControl(), 'public, max-age=31536000, immutable')
  assert.equal(renditionCacheControl(60.9), 'public, max-age=60')
  assert.equal(renditionCacheControl(-1), 'public, max-age=0')
  assert.equal(renditionCacheControl(10 ** 9), 'public, max-age=31536000')
})

const CONDITIONS = [
  [{}, false],
  [{ ifNoneMatch: ETAG }, true],
  [{ ifNoneMatch: `W/${ETAG}` }, true],
  [{ ifNoneMatch: '*' }, true],
  [{ ifNoneMatch: `"x", W/${ETAG} ,"y"` }, true],
  [{ ifNoneMatch: `"W/${ETAG.slice(1)}` }, false],
  [{ ifNoneMatch: `W/W/${ETAG}` }, false],
  [{ ifNoneMatch: '"x"' }, false],
  [{ ifNoneMatch: ETAG.replaceAll('"', '') }, false],
  [{ ifNoneMatch: '' }, false],
  [{ ifModifiedSince: DATE }, true],
  [{ ifModifiedSince: LATER }, false],
  [{ ifModifiedSince: EARLIER }, false],
  [{ ifModifiedSince: 'yesterday' }, false],
  [{ ifNoneMatch: ETAG, ifModifiedSince: DATE }, true],
  [{ ifNoneMatch: '"x"', ifModifiedSince: DATE }, false],
  [{ ifNoneMatch: ETAG, ifModifiedSince: LATER }, false],
] as const
for (const [headers, expected] of CONDITIONS) {
  test(`${JSON.stringify(headers)} is ${expected ? '' : 'not '}answered 304`, () => {
    assert.equal(isNotModified(headers, VALIDATORS), expected)
  })
}

const PRECONDITIONS = [
  [{}, false],
  [{ ifMatch: ETAG }, false],
  [{ ifMatch: '*' }, false],
  [{ ifMatch: `"x", ${ETAG}` }, false],
  [{ ifMatch: '"x"' }, true],
  [{ ifMatch: `W/${ETAG}` }, true],
  [{ ifUnmodifiedSince: DATE }, false],
  [{ ifUnmodifiedSince: LATER }, false],
  [{ ifUnmodifiedSince: EARLIER }, true],
] as const
for (const [headers, expected] of PRECONDITIONS) {
  test(`${JSON.stringify(headers)} is ${expected ? '' : 'not '}answered 412`, () => {
    assert.equal(isPreconditionFailed(headers, VALIDATORS), expected)
  })
}

const RANGES = [
  [undefined, undefined],
  ['bytes=0-0', { start: 0, end: 0 }],
  ['bytes=0-', { start: 0, end: 999 }],
  ['bytes=10-19', { start: 10, end: 19 }],
  ['BYTES=10-19', { start: 10, end: 19 }],
  ['bytes= 10 - 19 ', { start: 10, end: 19 }],
  ['bytes=990-5000', { start: 990, end: 999 }],
  ['bytes=-1', { start: 999, end: 999 }],
  ['bytes=-5000', { start: 0, end: 999 }],
  ['bytes=1000-', 'unsatisfiable'],
  ['bytes=1000-2000', 'unsatisfiable'],
  ['bytes=-0', 'unsatisfiable'],
  ['bytes=5-4', 'unsatisfiable'],
  ['bytes=x', 'unsatisfiable'],
  ['bytes=-', 'unsatisfiable'],
  ['bytes=--1', 'unsatisfiable'],
  [`bytes=${'9'.repeat(30)}-`, 'unsatisfiable'],
  ['bytes=0-1,5-6', undefined],
  ['bytes=2000-,5-6', { start: 5, end: 6 }],
  ['bytes=2000-,3000-', 'unsatisfiable'],
  ['lines=1-2', undefined],
  ['bytes', undefined],
] as const
for (const [range, expected] of RANGES) {
  test(`The range ${JSON.stringify(range)} of 1000 bytes selects ${JSON.stringify(expected)}`, () => {
    assert.deepEqual(selectRange({ range }, VALIDATORS, 1000), expected)
  })
}

test('A range counts only while If-Range names the very bytes', () => {
  const select = (ifRange: string) => selectRange({ range: 'bytes=0-1', ifRange }, VALIDATORS, 1000)
  for (const ifRange of [ETAG, DATE]) assert.deepEqual(select(ifRange), { start: 0, end: 1 })
  for (const ifRange of [`W/${ETAG}`, '"x"', LATER, EARLIER, '']) assert.equal(select(ifRange), undefined)
})

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
