import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NodeEntry } from '../../../../src/domain/stored/node-entry.ts'
import { type ListedNode, reportNodes } from '../../../../src/domain/stored/node-report.ts'

const NOW = Date.UTC(2026, 0, 1)

function listed(name: string, more: Partial<NodeEntry> = {}, ageMs = 0): ListedNode {
  const entry = {
    name,
    version: '1.0.0',
    state: 'ready',
    process: '00000000',
    capacity: 2,
    time: new Date(NOW - ageMs).toISOString(),
    owner: { boot: 'a', pid: 1, started: '1' },
    lag: {},
    load: {},
    ...more,
  } as const
  return { entry, modifiedAt: NOW - ageMs }
}

test('The report has the age by the clock of the store, and nothing of the process', () => {
  const { nodes, warnings } = reportNodes([listed('a'), listed('b', {}, 2500)], [])
  assert.deepEqual(
    nodes.map(({ name, ageSeconds, clockSeconds }) => [name, ageSeconds, clockSeconds]),
    [
      ['a', 0, 0],
      ['b', 2.5, 0],
    ],
  )
  assert.ok(nodes.every((node) => !('owner' in node) && !('process' in node)))
  assert.deepEqual(warnings, [])
  assert.deepEqual(reportNodes([], ['own']), { nodes: [], warnings: ['own'] })
})

test('Warnings name nodes that are late, clocks that differ, and versions that differ', () => {
  const at = (ms: number) => ({ time: new Date(NOW + ms).toISOString() })
  const nodes = [
    listed('a'),
    listed('late', {}, 61_000),
    listed('fast', at(120_000)),
    listed('slow', at(-7500)),
    listed('near', at(4000)),
    listed('new', { version: '1.1.0' }),
  ]
  assert.deepEqual(reportNodes(nodes, []).warnings, [
    'late has not renewed its entry for 61 s: it was killed, is frozen, or does not reach the store',
    'The clock of fast is 120 s ahead of that of the store: synchronize it (NTP)',
    'The clock of slow is 7.5 s behind that of the store: synchronize it (NTP)',
    'The nodes have different versions: 1.0.0 (a, late, fast, slow, near), 1.1.0 (new)',
  ])
})
