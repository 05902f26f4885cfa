import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createNginxFront } from '../../../../src/http/request/nginx-front.ts'
import { createDegradation } from '../../../../src/service/load/degradation.ts'

function createStage() {
  const clock = { ms: 1_000_000 }
  const troubles: string[] = []
  const degradation = createDegradation({ trouble: (message) => void troubles.push(message) }, () => clock.ms)
  return { clock, troubles, degradation }
}

test('A reason is logged once, lasts until its time or its end, and is logged anew only after an end', () => {
  const { clock, troubles, degradation } = createStage()
  degradation.begin('a', { lastsMs: 100 })
  degradation.begin('b')
  clock.ms += 90
  degradation.begin('a', { lastsMs: 100 })
  clock.ms += 90
  assert.deepEqual(
    [degradation.reasons, troubles],
    [
      ['a', 'b'],
      ['a', 'b'],
    ],
  )
  clock.ms += 10
  assert.deepEqual(degradation.reasons, ['b'])
  degradation.begin('a', { lastsMs: 100 })
  degradation.end('b')
  assert.deepEqual([degradation.reasons, troubles], [['a'], ['a', 'b']])
  degradation.begin('b')
  assert.deepEqual(troubles, ['a', 'b', 'b'])
})

test('Only when nginx fails to send half of the files does it count as unable to read the cache', () => {
  const { clock, degradation } = createStage()
  const front = createNginxFront({ accelPrefix: '/_r/', degradation, now: () => clock.ms, access: '' })
  for (const _ of Array.from({ length: 100 })) front.pointed()
  for (const _ of Array.from({ length: 49 })) front.failed()
  assert.deepEqual(degradation.reasons, [])
  clock.ms += 60_000
  front.failed()
  assert.deepEqual(degradation.reasons, [])
  front.failed()
  assert.equal(degradation.reasons.length, 1)
})
