import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isPipelineTime, pipelineTime } from '../../../../src/domain/picture/pipeline-time.ts'

test('every pipeline has a time, the second after it counts too, and no time outside 2020-2024 does', () => {
  for (const hash of [0, 1, 126_143_999, 126_144_000, 2 ** 32 - 1]) {
    const time = pipelineTime(hash)
    assert.ok(isPipelineTime(time) && isPipelineTime(time + 1), `${time}`)
  }
  for (const text of ['1970-01-01', '2019-12-31', '2024-01-02', '2026-06-01']) {
    assert.ok(!isPipelineTime(Date.parse(text) / 1000), text)
  }
})
