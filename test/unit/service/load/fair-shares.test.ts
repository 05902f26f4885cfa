import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createFairLine, createFairTurns } from '../../../../src/service/load/fair-shares.ts'

type Kind = 'viewer' | 'upload'

test('those who wait all the time get the same share, however different what they take at a time', () => {
  const turns = createFairTurns<Kind>()
  const taken = { viewer: 0, upload: 0 }
  for (let turn = 0; turn < 1000; turn += 1) {
    const kind = turns.next(['viewer', 'upload'])
    assert.ok(kind)
    const cost = kind === 'upload' ? 100 : 8
    turns.took(kind, cost)
    taken[kind] += cost
  }
  assert.ok(Math.abs(taken.viewer - taken.upload) <= 100, JSON.stringify(taken))
})

test('one who is alone has every turn, and nothing is saved up by staying away', () => {
  const turns = createFairTurns<Kind>()
  for (let turn = 0; turn < 100; turn += 1) {
    assert.equal(turns.next(['viewer']), 'viewer')
    turns.took('viewer', 10)
  }
  const order: Kind[] = []
  for (let turn = 0; turn < 6; turn += 1) {
    const kind = turns.next(['viewer', 'upload'])
    assert.ok(kind)
    turns.took(kind, 10)
    order.push(kind)
  }
  assert.equal(order.filter((kind) => kind === 'upload').length, 3, order.join())
})

test('where nobody waits it is nobody’s turn', () => {
  assert.equal(createFairTurns<Kind>().next([]), undefined)
})

test('of very many keys those that owe the most are remembered', () => {
  const turns = createFairTurns<string>()
  turns.took('owes', 1000)
  for (let key = 0; key < 50_000; key += 1) turns.took(`key ${key}`, 1)
  assert.equal(turns.next(['owes', 'new']), 'new')
  turns.took('new', 100)
  assert.equal(turns.next(['owes', 'new']), 'new')
})

test('A client that has had its turn comes before an endless stream of new clients, ten at a time', () => {
  const line = createFairLine<string>()
  line.took('viewer', 1)
  for (let stranger = 0; stranger < 10; stranger += 1) line.add(`stranger ${stranger}`, `stranger ${stranger}`)
  line.add('viewer', 'viewer')
  let turns = 0
  for (; turns < 1000 && line.next() !== 'viewer'; turns += 1) {
    const next = line.next() ?? ''
    line.remove(next, next)
    line.took(next, 1)
    line.add(`stranger ${turns + 10}`, `stranger ${turns + 10}`)
  }
  assert.ok(turns <= 20, `${turns} turns`)
})
