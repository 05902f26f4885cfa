import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ALL_ROWS } from '../../tools/chaos/all-rows.ts'
import { runRow } from '../../tools/chaos/run-row.ts'

// What no other test provokes; `npm run chaos` provokes all.
for (const row of ALL_ROWS.filter((each) => [22, 28, 32, 33, 38].includes(each.row))) {
  test(`the service holds against fault ${row.row}: ${row.fault}`, async (t) => {
    const { verdict, figures } = await runRow(row, { short: true })
    t.diagnostic(figures)
    assert.equal(verdict, 'held', figures)
  })
}
