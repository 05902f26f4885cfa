import assert from 'node:assert/strict'
import { test } from 'node:test'
import { admit, type SizePolicy } from '../../../../src/domain/access/size-policy.ts'
import { imageUrls } from '../../../../src/domain/info/image-record.ts'
import { parseImagePath } from '../../../../src/domain/url/picture-url.ts'

const ID = '3f2a'.padEnd(40, '0')
const RECORD = {
  id: ID,
  width: 1000,
  height: 750,
  format: 'jpeg',
  bytes: 1,
  alpha: false,
  frames: 1,
  uploadedAt: '2030-01-01T00:00:00.000Z',
} as const
const OPEN: SizePolicy = { kind: 'open' }

test('URLs begin with a slash, or with what the site says', () => {
  const { src, record, original } = imageUrls(RECORD, '', OPEN)
  assert.deepEqual([src, record, original], [`/image/${ID}/800w`, `/images/${ID}`, `/images/${ID}/original`])
  assert.equal(imageUrls(RECORD, 'https://img.example', OPEN).src, `https://img.example/image/${ID}/800w`)
})

test('A srcset offers the usual widths up to the original’s own, and none beyond', () => {
  const widths = (width: number) =>
    imageUrls({ ...RECORD, width }, '', OPEN)
      .srcset.split(', ')
      .map((entry) => entry.split(' ')[1])
  assert.deepEqual(widths(1000), ['160w', '320w', '480w', '640w', '800w', '1000w'])
  assert.deepEqual(widths(160), ['160w'])
  assert.deepEqual(widths(159), ['159w'])
  assert.equal(widths(9000).at(-1), '3840w')
})

test('An original smaller than every width that is listed is shown by the first size of the list, without a srcset', () => {
  const policy: SizePolicy = { kind: 'list', sizes: ['full', '400w'], fallback: 'refuse' }
  const { src, srcset, html } = imageUrls({ ...RECORD, width: 20, height: 15 }, '', policy)
  assert.equal(src, `/image/${ID}/full`)
  assert.equal(srcset, '')
  assert.equal(
    html,
    `<img src="/image/${ID}/full" width="20" height="15" alt="" style="max-width: 100%; height: auto">`,
  )
})

test('A policy’s own list is all that is offered', () => {
  const policy: SizePolicy = { kind: 'list', sizes: ['100s', '400w', '2000w'], fallback: 'refuse' }
  const { src, srcset } = imageUrls(RECORD, '', policy)
  assert.equal(src, `/image/${ID}/400w`)
  assert.equal(srcset, `/image/${ID}/400w 400w`)
  assert.equal(imageUrls({ ...RECORD, width: 50 }, '', policy).src, `/image/${ID}/100s`)
})

test('Signed URLs pass the check, and are escaped within the tag', () => {
  const policy: SizePolicy = { kind: 'signed', keys: ['a key of many characters'] }
  const { src, srcset, html } = imageUrls(RECORD, 'https://img.example/a&b', policy)
  for (const text of [src, ...srcset.split(', ').map((entry) => entry.split(' ')[0] ?? '')]) {
    const { pathname, searchParams } = new URL(text)
    assert.deepEqual(admit(parseImagePath(pathname.replace('/a&b', '')), searchParams, policy, 0), {})
  }
  assert.ok(html.includes('https://img.example/a&amp;b/image/'))
  assert.ok(!html.includes('a&b'))
})
