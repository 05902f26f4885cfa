import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  fileValidators,
  isNotModified,
  isPreconditionFailed,
  renditionCacheControl,
  selectRange,
} from '../../../../src/domain/caching/http-caching.ts'

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
