import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openSealed, seal } from '../../../../src/domain/stored/remote-pointer.ts'

test('Sealed bytes are opened as they were, and nothing else is', () => {
  const bytes = Buffer.from('a picture')
  const sealed = seal(bytes)
  assert.deepEqual(openSealed(sealed), bytes)
  assert.deepEqual(openSealed(seal(Buffer.alloc(0))), Buffer.alloc(0))
  for (const other of [
    Buffer.alloc(0),
    bytes,
    sealed.subarray(1),
    sealed.subarray(0, -1),
    Buffer.concat([sealed, Buffer.from('x')]),
    Buffer.from(sealed.map((byte, index) => (index === 3 ? byte ^ 1 : byte))),
  ]) {
    assert.equal(openSealed(other), undefined)
  }
})
