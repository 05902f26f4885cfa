import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RELAY_ROWS } from '../../tools/chaos/relay-rows.ts'
import { runRow } from '../../tools/chaos/run-row.ts'

// At once, as they mostly wait for pauses and leases.
test('the service holds against faults of webhooks and of the node that delivers', { concurrency: true }, async (t) => {
  const tests = RELAY_ROWS.map((row) =>
    t.test(`fault ${row.row}: ${row.fault}`, async (each) => {
      const { verdict, figures } = await runRow(row, { short: true })
      each.diagnostic(figures)
      assert.equal(verdict, 'held', figures)
    }),
  )
  await Promise.all(tests)
})
