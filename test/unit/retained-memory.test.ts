import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoize } from '../../src/service/memoize.ts'
import { collectGarbage } from '../support/collect-garbage.ts'
import { original } from '../support/memory-engine.ts'
import { createStage, never } from '../support/service-stage.ts'

const MB = 1e6

test('Fetching an original leaves no signal and no timer behind', async () => {
  const stage = createStage()
  const id = await stage.plant(original())
  const fetchAgain = async (times: number) => {
    for (let time = 0; time < times; time += 1) {
      await stage.originals.ready(id, never)
      await stage.cache.hide([id])
      stage.originals.forget(new Set([id]))
      stage.asked.length = 0
      stage.cache.calls.length = 0
    }
    collectGarbage()
    return process.memoryUsage().heapUsed
  }
  const before = await fetchAgain(500)
  const grown = (await fetchAgain(3000)) - before
  assert.ok(grown < 2 * MB, `${grown} bytes are held of 3,000 fetches`)
})

test('The path of a URL is remembered without the query that came after it', () => {
  const read = memoize((path) => ({ path }), 4 * MB)
  const query = 'x'.repeat(16_000)
  collectGarbage()
  const before = process.memoryUsage().heapUsed
  for (let number = 0; number < 3000; number += 1) {
    const url = Buffer.from(`/image/${number}/400w?${query}`).toString('latin1')
    read(url.slice(0, url.indexOf('?')))
  }
  collectGarbage()
  const grown = process.memoryUsage().heapUsed - before
  assert.ok(grown < 8 * MB, `${Math.round(grown / MB)} MB are held for 4 MB`)
  assert.equal(read('/image/2999/400w').path, '/image/2999/400w')
})
