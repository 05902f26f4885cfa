import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatNodeEntry, type NodeEntry, type ProcessOwner } from '../../../../src/domain/stored/node-entry.ts'
import { nodeKey } from '../../../../src/domain/stored/store-layout.ts'
import { createClaim, UNCHANGED_MS } from '../../../../src/service/members/claim.ts'
import { putBytes } from '../../../../src/service/tools/small-object.ts'
import { createMemoryStore } from '../../../support/memory-store.ts'
import { never } from '../../../support/service-stage.ts'

const KEY = nodeKey('north')

function entryOf(process: string, time: number, owner?: ProcessOwner): NodeEntry {
  return {
    name: 'north',
    version: '1.0.0',
    state: 'ready',
    process,
    capacity: 1,
    time: new Date(time).toISOString(),
    ...(owner && { owner }),
    lag: {},
    load: {},
  }
}

/** Processes of one machine, `a` and `b`, and others of which it knows nothing. */
function createMachine() {
  const store = createMemoryStore()
  const clock = { ms: 1000 }
  const dead = new Set<string>()
  const pids = ['a', 'b']
  const ownerOf = (process: string) => ({ boot: 'here', pid: pids.indexOf(process) + 1, started: '1' })
  return {
    store,
    clock,
    dead,
    /** A process of this machine. */
    claim: (process: string) =>
      createClaim({
        store,
        name: 'north',
        process,
        entry: () => entryOf(process, clock.ms, ownerOf(process)),
        isAlive: async ({ boot, pid }) => (boot === 'here' ? !dead.has(pids[pid - 1] ?? '') : undefined),
        now: () => clock.ms,
      }),
    /** The entry of a process of another machine. */
    async writeForeign() {
      const bytes = Buffer.from(formatNodeEntry(entryOf('foreign', clock.ms, { boot: 'there', pid: 1, started: '1' })))
      await putBytes(store, { key: KEY, bytes, contentType: 'application/json', overwrite: true }, never)
    },
    holder: () =>
      /"process":"(?<process>\w+)"/.exec(store.objects.get(KEY)?.bytes.toString() ?? '')?.groups?.['process'],
  }
}

test('A free name is taken at once, renewed, and released', async () => {
  const { store, clock, claim } = createMachine()
  const a = claim('a')
  assert.equal(await a.step(never), 'held')
  const first = store.objects.get(KEY)?.bytes.toString()
  clock.ms += 3000
  assert.equal(await a.step(never), 'held')
  assert.notEqual(store.objects.get(KEY)?.bytes.toString(), first)
  await a.release(never)
  assert.deepEqual([...store.objects.keys()], [])
})

test('A name of a living process of this machine is taken', async () => {
  const { claim, holder } = createMachine()
  await claim('a').step(never)
  const b = claim('b')
  assert.equal(await b.step(never), 'taken')
  assert.equal(b.other?.process, 'a')
  await b.release(never)
  assert.equal(holder(), 'a')
})

test('A name of a dead process of this machine is taken over at once, and read again', async () => {
  const { claim, dead, holder } = createMachine()
  await claim('a').step(never)
  dead.add('a')
  const b = claim('b')
  assert.equal(await b.step(never), 'waiting')
  assert.equal(await b.step(never), 'held')
  assert.equal(holder(), 'b')
})

test('Of two that overwrite the entry of a dead process, the last has the name', async () => {
  const { claim, dead, store, holder } = createMachine()
  await claim('a').step(never)
  dead.add('a')
  const b = claim('b')
  const before = store.objects.get(KEY)
  await b.step(never)
  // Another one that had read the old entry.
  if (before)
    store.objects.set(KEY, {
      ...before,
      bytes: Buffer.from(before.bytes.toString().replace('"a"', '"c"').replace('"here"', '"there"')),
    })
  assert.equal(await b.step(never), 'waiting')
  assert.equal(holder(), 'c')
})

test('An entry of another machine expires by own observation, whatever its time says', async () => {
  const { clock, claim, writeForeign, holder } = createMachine()
  clock.ms = 5e12
  await writeForeign()
  clock.ms = 1000
  const a = claim('a')
  for (; clock.ms < 1000 + UNCHANGED_MS; clock.ms += 500) assert.equal(await a.step(never), 'waiting')
  await a.step(never)
  assert.equal(await a.step(never), 'held')
  assert.equal(holder(), 'a')
})

test('An entry of another machine that is renewed is taken', async () => {
  const { clock, claim, writeForeign, holder } = createMachine()
  await writeForeign()
  const a = claim('a')
  assert.equal(await a.step(never), 'waiting')
  clock.ms += 3000
  await writeForeign()
  assert.equal(await a.step(never), 'taken')
  assert.equal(holder(), 'foreign')
})

test('A process that had the name does not fight for it, and takes it again when the other is gone', async () => {
  const { clock, claim, writeForeign, store, holder } = createMachine()
  const a = claim('a')
  await a.step(never)
  clock.ms += 1
  await writeForeign()
  assert.equal(await a.step(never), 'taken')
  assert.equal(holder(), 'foreign')
  store.objects.delete(KEY)
  assert.equal(await a.step(never), 'held')
})

test('An entry that is no entry expires as well', async () => {
  const { clock, claim, store, holder } = createMachine()
  await putBytes(store, { key: KEY, bytes: Buffer.from('damaged'), contentType: 'text/plain' }, never)
  const a = claim('a')
  assert.equal(await a.step(never), 'waiting')
  clock.ms += UNCHANGED_MS
  await a.step(never)
  assert.equal(await a.step(never), 'held')
  assert.equal(holder(), 'a')
})
