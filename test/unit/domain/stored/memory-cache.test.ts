import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultMemoryCache } from '../../../../src/domain/stored/memory-cache.ts'

const MIB = 2 ** 20

test('The in-memory cache of a small container leaves room for the rest of the node', () => {
  for (const [memory, cache] of [
    [256, 16],
    [512, 32],
    [2048, 128],
    [64 * 1024, 128],
  ] as const) {
    assert.equal(defaultMemoryCache(memory * MIB), cache * MIB, `${memory} MiB`)
  }
})
