import assert from 'node:assert/strict'
import { test } from 'node:test'
import { admit, parseSizeHints } from '../../../../src/domain/access/size-policy.ts'
import { parseSpecOrReticulumSize, reticulumAnswer } from '../../../../src/domain/dialect/reticulum-answer.ts'
import type { ImageRecord } from '../../../../src/domain/info/image-record.ts'
import { formatSpec } from '../../../../src/domain/spec/spec.ts'
import { parseImagePath } from '../../../../src/domain/url/picture-url.ts'

const ID = '3f2a'.padEnd(40, '0')
const OPEN = { kind: 'open' } as const
const RECORD: ImageRecord = {
  id: ID,
  width: 40,
  height: 30,
  format: 'jpeg',
  bytes: 1234,
  alpha: false,
  frames: 1,
  uploadedAt: '2026-11-21T10:07:07.833Z',
}

test('The answer has the names of Reticulum and says what is true', () => {
  assert.deepEqual(reticulumAnswer(RECORD, '', OPEN), {
    hash: ID,
    length: 1234,
    extension: 'jpg',
    full_url: `/image/${ID}/full/image.jpg`,
    satisfied: true,
    nodes: [],
  })
  assert.equal(
    reticulumAnswer(RECORD, 'https://img.example', OPEN).full_url,
    `https://img.example/image/${ID}/full/image.jpg`,
  )
})

for (const [format, alpha, extension] of [
  ['png', false, 'png'],
  ['webp', true, 'webp'],
  ['gif', false, 'gif'],
  ['avif', false, 'avif'],
  ['tiff', false, 'png'],
  ['svg', true, 'png'],
] as const) {
  test(`Pages are to ask for ${extension} of a ${format} ${alpha ? 'with' : 'without'} alpha`, () => {
    const answer = reticulumAnswer({ ...RECORD, format, alpha }, '', OPEN)
    assert.equal(answer.extension, extension)
    assert.equal(parseImagePath(answer.full_url).format, extension)
  })
}

test('Under signatures the URL of the answer is signed', () => {
  const policy = { kind: 'signed', keys: ['a-key-of-this-very-test'] } as const
  const [path = '', query] = reticulumAnswer(RECORD, '', policy).full_url.split('?')
  assert.deepEqual(admit(parseImagePath(path), new URLSearchParams(query), policy, 0), {})
})

test("Hints are sizes of Reticulum's between commas, each once", () => {
  const hints = (text: string) => parseSizeHints('size_hints', text, OPEN).map(formatSpec)
  assert.deepEqual(hints('100s,300h200w, 400w,,full,100s,'), ['100s', '200w300h', '400w', 'full'])
  assert.deepEqual(hints(''), [])
  assert.throws(() => hints('100s,400wide'), { message: 'size_hints: "400wide" is not a size; did you mean "400w"?' })
  const tolerated = parseSizeHints('size_hints', '100s,400wide', OPEN, parseSpecOrReticulumSize)
  assert.deepEqual(tolerated.map(formatSpec), ['100s', '400w'])
})

for (const [text, code, message] of [
  ['100s,large', 'invalid_upload', /size_hints: "large" is not a size: write full, 400w/],
  ['0w', 'invalid_upload', /size_hints: "0w" is not a length/],
  [Array.from({ length: 21 }, (_, at) => `${at + 1}w`).join(), 'invalid_upload', /size_hints: .* the limit is 20/],
  ['100s,200w', 'size_not_allowed', /size_hints: "200w" is not an allowed size/],
] as const) {
  test(`The hints "${text.slice(0, 20)}" are refused with the reason`, () => {
    const policy = { kind: 'list', sizes: ['100s'], fallback: 'refuse' } as const
    assert.throws(() => parseSizeHints('size_hints', text, code === 'size_not_allowed' ? policy : OPEN), {
      code,
      message,
    })
  })
}
