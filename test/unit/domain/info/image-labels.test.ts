import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileName, MAX_LABELS, parseLabels } from '../../../../src/domain/info/image-labels.ts'

const parse = (query: string) => parseLabels(new URLSearchParams(query))

test('Labels are separated by spaces or repeated, and each counts once', () => {
  assert.deepEqual(parse('labels=cats+2026-11&labels=cats+a.b_c'), ['cats', '2026-11', 'a.b_c'])
  assert.deepEqual(parse('labels='), [])
  assert.deepEqual(parse(''), [])
})

const WRONG = {
  'labels=Cats': /"Cats" is not a label: write "cats"/,
  'labels=a/b': /"a\/b" is not a label: a label has 1 to 64/,
  'labels=..': /"\.\." is not a label/,
  'labels=-a': /"-a" is not a label/,
  [`labels=${'a'.repeat(65)}`]: /is not a label: a label has 1 to 64/,
  [`labels=${Array.from({ length: MAX_LABELS + 1 }, (_, at) => `a${at}`).join('+')}`]:
    /21 labels given; the limit is 20/,
} as const
for (const [query, message] of Object.entries(WRONG)) {
  test(`${query.slice(0, 30)} is refused with the reason`, () => {
    assert.throws(() => parse(query), { code: 'invalid_upload', message })
  })
}

const NAMES = {
  'cat.jpg': 'cat.jpg',
  'C:\\photos\\cat.jpg': 'cat.jpg',
  '../../etc/passwd': 'passwd',
  'a\u0000b\nc.jpg': 'abc.jpg',
  'photos/': '',
} as const
for (const [given, name] of Object.entries(NAMES)) {
  test(`Of ${JSON.stringify(given)}, the file name is ${JSON.stringify(name)}`, () =>
    assert.equal(fileName(given), name))
}

test('A long file name is cut, and not in the middle of a character', () => {
  const name = fileName(`${'a'.repeat(254)}😀.jpg`)
  assert.equal(name.length, 255)
  assert.ok(name.isWellFormed())
})
