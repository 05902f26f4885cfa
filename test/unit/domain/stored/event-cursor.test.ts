import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { advance, formatCursor, HORIZON_MS, isRead, parseCursor } from '../../../../src/domain/stored/event-cursor.ts'

const T = 1_800_000_000_000
const START = { floor: T, positions: new Map<string, number>() }
const A = '0000000a'
const B = '0000000b'
const at = (node: string, time: number) => ({ node, time, number: 1 })

test('Parsing and formatting a cursor are inverses', () => {
  const nodes = fc.nat({ max: 0xff_ff_ff_ff }).map((value) => value.toString(16).padStart(8, '0'))
  const positions = fc.array(fc.tuple(nodes, fc.nat({ max: HORIZON_MS })), { maxLength: 100 })
  fc.assert(
    fc.property(fc.nat({ max: 2 * T }), positions, (floor, entries) => {
      const cursor = { floor, positions: new Map(entries.map(([node, offset]) => [node, floor + offset])) }
      assert.deepEqual(parseCursor(formatCursor(cursor)), cursor)
    }),
  )
})

const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
const NO_CURSORS = {
  'an empty text': '',
  'a number': '17',
  'another alphabet': `${encoded([1, T, {}])}+/`,
  'another version': encoded([2, T, {}]),
  'no positions': encoded([1, T]),
  'positions that are null': encoded([1, T, null]),
  'a negative floor': encoded([1, -1, {}]),
  'a floor beyond all times': encoded([1, 1e300, {}]),
  'a node of another shape': encoded([1, T, { '../x': 1 }]),
  'a position that is a text': encoded([1, T, { [A]: '1' }]),
  'a very long text': 'a'.repeat(8001),
} as const
for (const [name, text] of Object.entries(NO_CURSORS)) {
  test(`${name} is no cursor`, () => assert.equal(parseCursor(text), undefined))
}

test('A batch of one node that appears late is read, after later ones of another', () => {
  const cursor = advance(START, [at(A, T + 5000)], T + 5000)
  assert.ok(isRead(cursor, at(A, T + 4000)) && isRead(cursor, at(A, T + 5000)))
  assert.ok(!isRead(cursor, at(B, T + 4000)) && !isRead(cursor, at(A, T + 5001)))
})

test('The floor follows at the horizon, and positions below it are dropped', () => {
  const earlier = advance(START, [at(A, T + 1), at(B, T + HORIZON_MS)], T + 1)
  assert.equal(earlier.floor, T)
  const later = advance(earlier, [], T + HORIZON_MS + 1000)
  assert.equal(later.floor, T + 1000)
  assert.deepEqual([...later.positions], [[B, T + HORIZON_MS]])
  assert.ok(isRead(later, at(A, T + 1)))
})
