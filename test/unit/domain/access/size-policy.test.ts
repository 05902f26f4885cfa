import assert from 'node:assert/strict'
import { test } from 'node:test'
import { signPath } from '../../../../src/domain/access/signature.ts'
import {
  admit,
  admittingQuery,
  assertUploadParameters,
  offeredSpecs,
  type SizePolicy,
} from '../../../../src/domain/access/size-policy.ts'
import { formatSpec } from '../../../../src/domain/spec/spec.ts'
import { parseImagePath } from '../../../../src/domain/url/picture-url.ts'

const ID = '3f2a'.padEnd(40, '0')
const NOW = 1_800_000_000
const SIZES = ['800w', '400w', '200w,2x', '400w300h,cover', '100s', '200s', '300h', 'full,gray']
const LIST: SizePolicy = { kind: 'list', sizes: SIZES, fallback: 'refuse' }
const REDIRECTING: SizePolicy = { ...LIST, fallback: 'redirect' }
const KEY = 'a key of many characters'
const SIGNED: SizePolicy = { kind: 'signed', keys: [KEY, 'an older key'] }

function ask(spec: string, policy: SizePolicy, query = '') {
  return admit(parseImagePath(`/image/${ID}/${spec}/x.webp`), new URLSearchParams(query), policy, NOW)
}

test('Without a policy every size passes', () => {
  assert.deepEqual(ask('123w45h,fill', { kind: 'open' }), {})
})

test('A listed size passes in any spelling', () => {
  for (const spec of [...SIZES, '300h400w,cover', '100s,cover,center']) {
    assert.deepEqual(ask(spec, LIST), {})
    assert.deepEqual(ask(spec, REDIRECTING), {})
  }
})

test('A size that is not on the list is refused', () => {
  for (const spec of ['401w', '400w,q80', '400w,gray', '400h', '400s', '100s,2x', 'full']) {
    assert.throws(() => ask(spec, LIST), { name: 'RequestError', code: 'size_not_allowed' })
  }
})

const REDIRECTS = {
  '399w': '400w',
  '1w': '400w',
  '401w': '800w',
  '150w,2x': '200w,2x',
  '320w300h,cover': '400w300h,cover',
  '101s': '200s',
} as const
for (const [spec, larger] of Object.entries(REDIRECTS)) {
  test(`"${spec}" is sent to the next larger width that is otherwise equal, "${larger}"`, () => {
    const { redirect } = ask(spec, REDIRECTING)
    assert.equal(redirect && formatSpec(redirect), larger)
  })
}

test('A size with no larger one that is otherwise equal is refused all the same', () => {
  for (const spec of ['801w', '400w,q80', '201s', '299h', 'full', '201w,2x', '400w299h,cover', '300w300h']) {
    assert.throws(() => ask(spec, REDIRECTING), { code: 'size_not_allowed' })
  }
})

test('A signed size passes, and says how long it may be kept', () => {
  const path = `/image/${ID}/400w/.webp`
  const { signature } = signPath(path, KEY)
  assert.deepEqual(ask('400w', SIGNED, `s=${signature}&utm=1`), {})
  const until = signPath(path, 'an older key', NOW + 90)
  assert.deepEqual(ask('400w', SIGNED, `s=${until.signature}&e=${NOW + 90}`), { expiresInSeconds: 90 })
  assert.throws(() => ask('400w', SIGNED), { code: 'signature_invalid' })
  assert.throws(() => ask('500w', SIGNED, `s=${signature}`), { code: 'signature_invalid' })
})

test('A URL of ours is signed with the first key, and only if need be', () => {
  const request = parseImagePath(`/image/${ID}/400w`)
  assert.equal(admittingQuery(request, SIGNED), `s=${signPath(`/image/${ID}/400w`, KEY).signature}`)
  assert.equal(admittingQuery(request, LIST), '')
  assert.equal(admittingQuery(request, { kind: 'open' }), '')
})

test('Only plain widths are offered: those of the list, or a usual ladder', () => {
  assert.deepEqual(offeredSpecs(LIST, 4000).map(formatSpec), ['800w', '400w'])
  assert.deepEqual(offeredSpecs({ kind: 'open' }, 500).map(formatSpec), ['160w', '320w', '480w', '500w'])
  assert.deepEqual(offeredSpecs(SIGNED, 500), offeredSpecs({ kind: 'open' }, 500))
})

for (const query of ['', 'sizes=400w+800w', 'sizes=400w&sizes=800w']) {
  test(`An upload may have the query "${query}"`, () => assertUploadParameters(new URLSearchParams(query)))
}

const REFUSED = {
  'size=400w': '"size" is not a parameter of POST /images: did you mean "sizes"?',
  'sizes=400w&Sizes=800w': '"Sizes" is not a parameter of POST /images: did you mean "sizes"?',
  'sizes[]=400w': '"sizes[]" is not a parameter of POST /images: did you mean "sizes"?',
  'w=400': '"w" is not a parameter of POST /images: write /images?sizes=400w+800w, or no query',
  v: '"v" is not a parameter of POST /images: write /images?sizes=400w+800w, or no query',
} as const
for (const [query, message] of Object.entries(REFUSED)) {
  test(`An upload with the query "${query}" is refused with a right one`, () => {
    assert.throws(() => assertUploadParameters(new URLSearchParams(query)), { code: 'invalid_upload', message })
  })
}
