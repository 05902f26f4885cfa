import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  formatNodeEntry,
  isNodeAddress,
  isNodeName,
  type NodeEntry,
  parseNodeEntry,
  parseNodeKey,
} from '../../../../src/domain/stored/node-entry.ts'
import { nodeKey } from '../../../../src/domain/stored/store-layout.ts'

const ENTRY: NodeEntry = {
  name: 'node1',
  address: '10.0.0.5:80',
  version: '0.2.0',
  state: 'ready',
  process: '0a1b2c3d',
  capacity: 4,
  time: '2026-11-30T12:00:00.000Z',
  owner: { boot: '5d0c/4026531836', pid: 4711, started: '123456' },
  lag: { invalidationSeconds: 0.4 },
  load: { rendersQueued: 3 },
}
const { address: _address, owner: _owner, ...LEAST } = ENTRY

test('An entry is parsed as it was formatted, with and without what is optional', () => {
  for (const entry of [ENTRY, LEAST, { ...ENTRY, state: 'draining' } as const]) {
    assert.deepEqual(parseNodeEntry(formatNodeEntry(entry)), entry)
  }
})

test('Fields of a later version are ignored, and missing figures count as none', () => {
  const { lag: _lag, load: _load, ...rest } = LEAST
  const text = JSON.stringify({ ...rest, later: { a: 1 }, lag: { purges: 'many' }, owner: { pid: -1 } })
  assert.deepEqual(parseNodeEntry(text), { ...rest, lag: {}, load: {} })
})

test('Anything else is no entry', () => {
  const wrong = [
    { name: '../records/x' },
    { name: undefined },
    { address: 'no port' },
    { address: 7 },
    { state: 'gone' },
    { version: 2 },
    { process: undefined },
    { capacity: '4' },
    { time: 'yesterday' },
  ]
  for (const fields of wrong) {
    assert.equal(parseNodeEntry(JSON.stringify({ ...ENTRY, ...fields })), undefined, JSON.stringify(fields))
  }
  for (const text of ['', '{', 'null', '[]', '"node1"']) assert.equal(parseNodeEntry(text), undefined, text)
})

test('A key names its node, and other keys none', () => {
  for (const name of ['node1', 'img-3.example.com-8080', 'A_b', 'x'.repeat(100)]) {
    assert.ok(isNodeName(name))
    assert.equal(parseNodeKey(nodeKey(name)), name)
  }
  for (const name of ['', '.', '..', '-a', 'a/b', 'a b', 'ä', 'x'.repeat(101)]) {
    assert.ok(!isNodeName(name), name)
    assert.equal(parseNodeKey(nodeKey(name)), undefined, name)
  }
  for (const key of ['nodes/node1', 'records/node1.json', 'nodes/a/b.json']) assert.equal(parseNodeKey(key), undefined)
})

test('An address has a host and a port', () => {
  for (const text of ['10.0.0.5:80', 'node-1.nodes.svc.cluster.local:8080', '[fd00::1]:80', 'node1:65535']) {
    assert.ok(isNodeAddress(text), text)
  }
  for (const text of [
    '10.0.0.5',
    'node1:',
    ':80',
    'node1:0',
    'node1:65536',
    'fd00::1:80',
    'http://node1:80',
    'a/b:80',
    'a@b:80',
    '[::g]:80',
  ]) {
    assert.ok(!isNodeAddress(text), text)
  }
})
