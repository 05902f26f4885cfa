import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatNodeEntry, type NodeEntry } from '../../../../src/domain/stored/node-entry.ts'
import { nodeKey } from '../../../../src/domain/stored/store-layout.ts'
import { createRoll } from '../../../../src/service/members/roll.ts'
import { createMemoryStore } from '../../../support/memory-store.ts'
import { never } from '../../../support/service-stage.ts'

function createStage() {
  const store = createMemoryStore()
  const clock = { ms: 0 }
  const renew = (name: string, address?: string) => {
    const entry: NodeEntry = {
      name,
      ...(address !== undefined && { address }),
      version: '1.0.0',
      state: 'ready',
      process: '00000000',
      capacity: 1,
      time: new Date(0).toISOString(),
      lag: {},
      load: {},
    }
    const bytes = Buffer.from(formatNodeEntry(entry))
    store.objects.set(nodeKey(name), { bytes, contentType: '', md5: '', modifiedAt: new Date(clock.ms) })
  }
  const roll = createRoll({ store, name: 'own', address: 'own:80', now: () => clock.ms })
  return { store, clock, renew, roll }
}

test('Peers are the other nodes with an address that renew their entries', async () => {
  const { clock, renew, roll } = createStage()
  renew('own', 'own:80')
  renew('a', 'a:80')
  renew('b', 'b:80')
  renew('silent')
  renew('twin', 'a:80')
  renew('same', 'own:80')
  await roll.look(never)
  assert.deepEqual(roll.peers, ['a:80', 'b:80'])
  assert.equal(roll.size, 6)
  clock.ms += 29_000
  renew('a', 'a:80')
  await roll.look(never)
  clock.ms += 2000
  assert.deepEqual([roll.peers, roll.size], [['a:80'], 1])
  clock.ms += 29_000
  renew('b', 'moved:80')
  await roll.look(never)
  assert.deepEqual(roll.peers, ['moved:80'])
})

test('Entries that nobody renews for an hour are removed, but not that of the node itself', async () => {
  const { store, clock, renew, roll } = createStage()
  for (const name of ['own', 'a', 'b']) renew(name)
  await roll.look(never)
  clock.ms += 3_599_000
  renew('b')
  await roll.look(never)
  assert.equal(store.objects.size, 3)
  clock.ms += 1000
  await roll.look(never)
  assert.deepEqual([...store.objects.keys()], [nodeKey('own'), nodeKey('b')])
})

test('Objects that are no entries are left out', async () => {
  const { store, renew, roll } = createStage()
  renew('a', 'a:80')
  store.objects.set('nodes/damaged.json', {
    bytes: Buffer.from('{'),
    contentType: '',
    md5: '',
    modifiedAt: new Date(0),
  })
  assert.deepEqual(
    (await roll.read(never)).map(({ entry }) => entry.name),
    ['a'],
  )
  await roll.look(never)
  assert.deepEqual(roll.peers, ['a:80'])
})
