import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { ALL_ROWS } from '../../../tools/chaos/all-rows.ts'
import { changedVerdicts, formatReport, mergeReports } from '../../../tools/chaos/report.ts'
import { loadReport } from '../../../tools/chaos/report-file.ts'
import type { FaultRow, RowResult } from '../../../tools/chaos/row.ts'
import { runRow } from '../../../tools/chaos/run-row.ts'

const ROW = { row: 4, fault: 'a fault', what: 'something | is done' } as const
const HELD: RowResult = {
  ...ROW,
  requests: 3,
  answers: { 200: 2, 503: 1 },
  recoveryMs: 12,
  figures: 'fast',
  verdict: 'held',
}

test('the table has every fault once, and each is built', () => {
  assert.deepEqual(
    ALL_ROWS.map(({ row }) => row),
    [...Array.from({ length: 39 }, (_, at) => at + 1), 42, 43, 44, 45],
  )
  assert.deepEqual(
    ALL_ROWS.filter(({ run }) => run === undefined).map(({ row }) => row),
    [],
  )
})

test('a row that throws has failed, and so has one with a 500, whoever has swallowed it; all is undone', async () => {
  const undone: string[] = []
  const run = (body: FaultRow['run']) => runRow({ ...ROW, ...(body && { run: body }) }, { short: true })
  const failed = await run(async (scope) => {
    scope.after(() => undone.push('it'))
    scope.says('so far')
    throw new Error('lost')
  })
  assert.deepEqual([failed.verdict, failed.figures, undone], ['failed', 'so far; FAILED: lost', ['it']])
  assert.equal((await run(async ({ tally }) => tally.add(500, 1))).verdict, 'failed')
  assert.equal((await run(undefined)).verdict, 'not built')
  const held = await run(async (scope) => {
    scope.tally.add(200, 2)
    scope.recovered(7)
    scope.recovered(5)
  })
  assert.deepEqual([held.verdict, held.requests, held.recoveryMs], ['held', 2, 7])
})

test('what was found now takes the place of what was found then, and another verdict is told', () => {
  const earlier = { rows: [HELD, { ...HELD, row: 5 }], long: [] }
  const now = { rows: [{ ...HELD, verdict: 'failed' } as const], long: [] }
  assert.deepEqual(changedVerdicts(earlier, now), [4])
  assert.deepEqual(
    mergeReports(earlier, now).rows.map(({ row, verdict }) => [row, verdict]),
    [
      [4, 'failed'],
      [5, 'held'],
    ],
  )
  assert.match(
    formatReport(earlier),
    /^\| 4 \| a fault \| something \\\| is done \| 3 \| 200: 2, 503: 1 \| 12 ms \| fast \| held \|$/m,
  )
})

test('the page is what the figures beside it say', async () => {
  assert.equal(
    await readFile(new URL('../../../docs/faults.md', import.meta.url), 'utf8'),
    formatReport(await loadReport()),
  )
})
