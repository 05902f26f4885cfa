import assert from 'node:assert/strict'
import { test } from 'node:test'
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
