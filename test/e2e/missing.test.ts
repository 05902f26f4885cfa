import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MISSING_KINDS, startMissingSite } from '../../tools/memory/missing-site.ts'
import { createCollector } from '../../tools/servers/collected.ts'
import { backgroundIsDone } from '../../tools/servers/darkroom.ts'

const MB = 1e6
/** Afterwards the code has been compiled, and the tables of the node are nearly full. */
const WARM_UP = 500
const COUNT = 1000
/** Of what there was for each request before, 10 MB remained. */
const MOST_BYTES = 6 * MB

test('A node does not hold what was requested of missing ids, keys, remote URLs and of sizes', async (t) => {
  const collector = await createCollector()
  const { node, request } = await startMissingSite(t, {
    env: { ...collector.env, MEMORY_CACHE_ENTRIES: '1000', MEMORY_CACHE_BYTES: '600000' },
  })
  for (const kind of MISSING_KINDS) await request(kind, 0, WARM_UP)
  // Renditions are held until the group is published.
  await backgroundIsDone(node)
  const before = await collector.usedHeapBytes()
  for (const kind of MISSING_KINDS) await request(kind, WARM_UP, COUNT)
  await backgroundIsDone(node)
  const grown = (await collector.usedHeapBytes()) - before
  assert.ok(grown < MOST_BYTES, `${grown} bytes more are held after ${COUNT} requests of each kind`)
})
