import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatNodeEntry } from '../../../../src/domain/stored/node-entry.ts'
import { livingNodes, type SeenEntries, seeEntries } from '../../../../src/domain/stored/registry-members.ts'

const KEEP_MS = 60_000

function entry(name: string, seconds: number): string {
  const time = new Date(seconds * 1000).toISOString()
  const fixed = { version: '1', state: 'ready', process: '00000000', capacity: 1, lag: {}, load: {} } as const
  return formatNodeEntry({ name, time, ...fixed })
}

/** Reads every three seconds. @param renewed Names of the nodes that renew their entries at that time. */
function read(seconds: number, names: readonly string[], renewed: (name: string, at: number) => boolean) {
  let seen: SeenEntries = new Map()
  const last = new Map<string, number>()
  for (let at = 0; at <= seconds; at += 3) {
    for (const name of names) if (at === 0 || renewed(name, at)) last.set(name, at)
    const texts = names.map((name) => [`nodes/${name}.json`, entry(name, last.get(name) ?? 0)] as const)
    seen = seeEntries(seen, new Map(texts), at * 1000)
  }
  const living = livingNodes(seen, seconds * 1000, KEEP_MS)
  return living.map(({ name }) => name).join(' ')
}

test('A node whose entry is not renewed stays for a while', () => {
  const killed = (name: string) => name !== 'b'
  assert.equal(read(57, ['a', 'b'], killed), 'a b')
  assert.equal(read(60, ['a', 'b'], killed), 'a')
})

test('If no entry is renewed, the store accepts no writes, and all nodes stay', () => {
  assert.equal(
    read(600, ['a', 'b', 'c'], () => false),
    'a b c',
  )
  // They end within three seconds of each other.
  assert.equal(
    read(120, ['a', 'b'], (name, at) => at < (name === 'a' ? 30 : 33)),
    'a b',
  )
})

test('An entry that is gone is gone at once, and damaged ones are no nodes', () => {
  const first = seeEntries(new Map(), new Map([['nodes/a.json', entry('a', 0)]]), 0)
  assert.equal(livingNodes(first, 0, KEEP_MS).length, 1)
  const second = seeEntries(first, new Map([['nodes/b.json', '{']]), 1)
  assert.deepEqual(livingNodes(second, 1, KEEP_MS), [])
})
