import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { boundGroup, isPlainValue, type PlainGroup } from '../../../../src/domain/info/plain-value.ts'
import { jsonFields } from '../../../../tools/requests/raw-request.ts'

const ROOM = 10_000

test('What is harmless stays as it is', () => {
  const group = {
    Make: 'Änne 山田 🙂',
    Iso: 200,
    Flag: false,
    List: ['a', 1],
    Deep: { deeper: { text: 'two\nlines\tand tab' } },
  }
  assert.deepEqual(boundGroup(group, ROOM), { group, cut: false })
})

test('Control characters, halves of letters and what is empty are tidied away', () => {
  const group = {
    a: ' \0\x1b[31mred\x7f\u0085 ',
    b: 'half \ud83d',
    c: '\0\0',
    d: [],
    e: {},
    f: Number.NaN,
    g: 'one\r\ntwo',
  }
  assert.deepEqual(boundGroup(group, ROOM), { group: { a: '[31mred', b: 'half \ufffd', g: 'one\ntwo' }, cut: false })
})

test('Names that harm, and names that are none, are left out', () => {
  const group = jsonFields(
    '{"__proto__":{"polluted":1},"constructor":1,"prototype":1,"a":{"__proto__":1},"\\u0000":1,"<b>":1,"":1,"ok":1}',
  )
  assert.ok(isGroup(group))
  const { group: bounded } = boundGroup({ ...group, ['x'.repeat(65)]: 1 }, ROOM)
  assert.deepEqual(bounded, { ok: 1 })
  assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false)
})

test('No text that says a place is left, however deep, and no picture within', () => {
  const group = {
    GPSLatitude: '51,28.6687N',
    Label: '51,28.6687N',
    Thumbnails: [{ image: '/9j/4AAQSkZJRgABAQ', height: 1 }],
    Created: [{ City: 'London', Inner: { Corner: '51,28.6687N', Note: 'geo:51.47,0.00' } }],
  }
  assert.deepEqual(boundGroup(group, ROOM), {
    group: { Thumbnails: [{ height: 1 }], Created: [{ City: 'London' }] },
    cut: false,
  })
})

test('What is too long, too many or too deep is cut, and said to be', () => {
  const long = boundGroup({ a: 'x'.repeat(5000) }, ROOM)
  assert.deepEqual(long, { group: { a: 'x'.repeat(2000) }, cut: true })
  const many = boundGroup({ a: Array.from({ length: 500 }, () => 1) }, ROOM)
  assert.deepEqual(many, { group: { a: Array.from({ length: 64 }, () => 1) }, cut: true })
  let deep: PlainGroup = { end: 1 }
  for (let depth = 0; depth < 50; depth += 1) deep = { a: deep, b: 1 }
  const bounded = boundGroup(deep, ROOM)
  assert.ok(bounded.cut && isPlainValue(bounded.group))
  assert.ok(JSON.stringify(bounded.group).length < 100)
})

test('A place is not made unrecognisable by cutting it', () => {
  assert.deepEqual(boundGroup({ a: `${'x'.repeat(1995)} "lat": 51.477` }, ROOM), { group: {}, cut: false })
})

test('Of a picture’s members those that come first are kept', () => {
  const group = { a: 'x'.repeat(40), b: 'y'.repeat(40), c: 'z' }
  assert.deepEqual(boundGroup(group, 70), { group: { a: 'x'.repeat(40), c: 'z' }, cut: true })
})

const names = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.constantFrom('__proto__', 'GPSLatitude', 'Make', 'a'),
)
const { value: anything } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 8 },
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.double(),
    fc.boolean(),
    fc.array(tie('value'), { maxLength: 8 }),
    fc.dictionary(names, tie('value'), { maxKeys: 8 }),
  ),
}))

test('Whatever a file says, its JSON is well-formed, plain, and never longer than it may be', () => {
  fc.assert(
    fc.property(
      fc.dictionary(names, anything, { maxKeys: 20 }),
      fc.integer({ min: 2, max: 2000 }),
      (group, maxBytes) => {
        const plain: PlainGroup = Object.fromEntries(
          Object.entries(group).flatMap(([name, value]) => (isPlainValue(value, -20) ? [[name, value]] : [])),
        )
        const { group: bounded } = boundGroup(plain, maxBytes)
        const json = JSON.stringify(bounded)
        assert.ok(Buffer.byteLength(json) <= maxBytes, `${Buffer.byteLength(json)} of ${maxBytes}: ${json}`)
        assert.ok(json.isWellFormed())
        assert.doesNotMatch(json, /"__proto__":/)
        assert.deepEqual(JSON.parse(json), { ...bounded })
        assert.deepEqual(boundGroup(bounded, maxBytes).group, bounded, 'once more changes nothing')
      },
    ),
    { numRuns: 500 },
  )
})

function isGroup(value: object): value is PlainGroup {
  return isPlainValue(value)
}
