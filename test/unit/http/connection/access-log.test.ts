import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { LimitError, RequestError, UnavailableError } from '../../../../src/errors.ts'
import { createAccessReport, type Ended } from '../../../../src/http/connection/access-log.ts'
import { createLog } from '../../../../src/telemetry/log.ts'
import { createMetrics } from '../../../../src/telemetry/metrics.ts'

const ENDED = { method: 'GET', path: '/', client: '127.0.0.1', requestId: 'x', bytes: 0, seconds: 0, tier: undefined }
const OVERLOADED = new UnavailableError('overloaded', 'Too many')

test('Rejected requests are counted by reason, from zero on, and other errors are not', async () => {
  const metrics = createMetrics()
  const report = createAccessReport(createLog('silent').log, metrics)
  const rejected = async () => {
    const { values } = await metrics.rejections.get()
    return values.map(({ labels, value }) => [labels.reason, value])
  }
  assert.deepEqual(await rejected(), [
    ['shed', 0],
    ['queue', 0],
    ['rate_limit', 0],
  ])
  const ends: readonly Pick<Ended, 'status' | 'error' | 'isShed'>[] = [
    { status: 503, error: OVERLOADED, isShed: true },
    { status: 503, error: OVERLOADED, isShed: true },
    { status: 503, error: OVERLOADED },
    { status: 429, error: new LimitError('Too many', 1) },
    { status: 503, error: new UnavailableError('store_unavailable', 'Down') },
    { status: 400, error: new RequestError('invalid_path', 'Wrong') },
    { status: 500, error: new Error('a bug') },
    { status: 200, error: undefined },
  ]
  for (const end of ends) report({ ...ENDED, ...end })
  await setImmediate()
  assert.deepEqual(await rejected(), [
    ['shed', 2],
    ['queue', 1],
    ['rate_limit', 1],
  ])
})
