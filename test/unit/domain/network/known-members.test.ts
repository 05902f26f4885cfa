import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type KnownMembers, keepMembers, memberName } from '../../../../src/domain/network/known-members.ts'

const member = (name: string) => ({ name, address: '192.0.2.1', port: 80, isDraining: false })
const names = (known: KnownMembers) => [...known.keys()].toSorted().join(' ')

test('A member that is not named any more stays for a while', () => {
  const first = keepMembers(new Map(), [member('a'), member('b')], { nowMs: 0, keepMs: 10 })
  const second = keepMembers(first, [member('b'), member('c')], { nowMs: 9, keepMs: 10 })
  assert.equal(names(second), 'a b c')
  assert.equal(names(keepMembers(second, [member('c')], { nowMs: 10, keepMs: 10 })), 'b c')
  assert.equal(names(keepMembers(second, [member('a')], { nowMs: 30, keepMs: 10 })), 'a')
})

test('The last answer has the address', () => {
  const moved = { ...member('a'), address: '192.0.2.2' }
  const known = keepMembers(keepMembers(new Map(), [member('a')], { nowMs: 0, keepMs: 10 }), [moved], {
    nowMs: 1,
    keepMs: 10,
  })
  assert.deepEqual(known.get('a')?.member, moved)
})

test('Names depend on host and port only', () => {
  assert.equal(memberName('192.0.2.1', 80), '192.0.2.1-80')
  assert.equal(memberName('2001:db8::1', 8080), 'v6-2001-db8--1-8080')
  assert.equal(memberName('Node-0.Nodes.example.', 80), 'node-0.nodes.example-80')
})
