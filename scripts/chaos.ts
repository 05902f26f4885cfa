// The body of `npm run chaos`: provokes every fault of the table against real processes, and writes docs/faults.md.
//
//   node scripts/chaos.ts [--row 4,22] [--short] [--uploads 10000] [--sigterm 20] [--rolling [--seconds 120]]
//
// With one of the last three: that long run and no rows. Ends with 1 if anything did not hold.
import { parseArgs } from 'node:util'
import { ALL_ROWS } from '../test/chaos/all-rows.ts'
import { uploadThroughFaults } from '../test/chaos/long-uploads.ts'
import { rollThrough } from '../test/chaos/long-rolling.ts'
import { terminateAgainAndAgain } from '../test/chaos/long-sigterm.ts'
import { changedVerdicts, formatAnswers, mergeReports, type LongResult } from '../test/chaos/report.ts'
import { loadReport, saveReport } from '../test/chaos/report-file.ts'
import type { FaultRow, RowResult, RowScope } from '../test/chaos/row.ts'
import { runRow } from '../test/chaos/run-row.ts'
import { ensureNginx } from '../test/support/install-servers.ts'
import { shareS3Server, startS3Server } from '../test/support/s3-server.ts'

const OPTIONS = {
  row: { type: 'string' },
  short: { type: 'boolean', default: false },
  uploads: { type: 'string' },
  sigterm: { type: 'string' },
  rolling: { type: 'boolean', default: false },
  seconds: { type: 'string', default: '120' },
} as const

const LONG_LIMIT_MS = 3_600_000

function chosenRows(text: string | undefined): readonly FaultRow[] {
  if (text === undefined) return ALL_ROWS
  return text.split(',').map((number) => {
    const found = ALL_ROWS.find(({ row }) => String(row) === number.trim())
    if (found === undefined) throw new Error(`--row ${number}: rows are numbers from 1 to ${ALL_ROWS.length}`)
    return found
  })
}

async function runRows(rows: readonly FaultRow[], short: boolean): Promise<RowResult[]> {
  const results: RowResult[] = []
  for (const row of rows) {
    const began = performance.now()
    const result = await runRow(row, { short })
    const seconds = ((performance.now() - began) / 1000).toFixed(1)
    const recovery = result.recoveryMs === null ? '' : `, right again after ${result.recoveryMs} ms`
    process.stdout.write(
      `${result.row}. ${result.fault}: ${result.verdict} (${seconds} s; ${formatAnswers(result.answers)}${recovery})\n    ${result.figures}\n`,
    )
    results.push(result)
  }
  return results
}

interface LongRun {
  readonly run: string
  readonly command: string
  readonly body: (scope: RowScope) => Promise<void>
}

function wholeNumber(name: string, text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1) throw new Error(`--${name} ${text}: should be a whole number from 1`)
  return number
}

interface LongChoice {
  readonly uploads?: string | undefined
  readonly sigterm?: string | undefined
  readonly rolling: boolean
  readonly seconds: string
}

function chosenRuns({ uploads, sigterm, rolling, seconds }: LongChoice): readonly LongRun[] {
  const runs: LongRun[] = []
  if (uploads !== undefined) {
    const count = wholeNumber('uploads', uploads)
    const command = `npm run chaos -- --uploads ${count}`
    runs.push({
      run: 'Uploads while faults 4-7, 11, 21 and 22 come and go',
      command,
      body: (scope) => uploadThroughFaults(scope, count),
    })
  }
  if (sigterm !== undefined) {
    const times = wholeNumber('sigterm', sigterm)
    const command = `npm run chaos -- --sigterm ${times}`
    runs.push({ run: 'SIGTERM under load', command, body: (scope) => terminateAgainAndAgain(scope, times) })
  }
  if (rolling) {
    const length = wholeNumber('seconds', seconds)
    const command = `npm run chaos -- --rolling --seconds ${length}`
    runs.push({
      run: 'One of two nodes killed every ten seconds',
      command,
      body: (scope) => rollThrough(scope, length),
    })
  }
  return runs
}

async function runLong(runs: readonly LongRun[]): Promise<LongResult[]> {
  const results: LongResult[] = []
  for (const { run, command, body } of runs) {
    const row = { row: 0, fault: run, what: command, run: body, limitMs: LONG_LIMIT_MS }
    const { figures, verdict, answers } = await runRow(row, { short: false })
    process.stdout.write(`${run}: ${verdict} (${formatAnswers(answers)})\n    ${figures}\n`)
    results.push({ run, command, figures, verdict: verdict === 'held' ? 'held' : 'failed' })
  }
  return results
}

/** @returns whether all held. */
async function main(): Promise<boolean> {
  const { values } = parseArgs({ options: OPTIONS })
  const runs = chosenRuns(values)
  const rows = runs.length > 0 ? [] : chosenRows(values.row)
  await ensureNginx()
  // glibc keeps an arena of memory per thread; a node is run with the same.
  process.env.MALLOC_ARENA_MAX = '2'
  const server = await startS3Server('seaweedfs')
  try {
    shareS3Server(server)
    const now = { rows: await runRows(rows, values.short), long: await runLong(runs) }
    const earlier = await loadReport()
    const changed = changedVerdicts(earlier, now)
    process.stdout.write(
      changed.length === 0
        ? 'No verdict is another one than before\n'
        : `Other verdicts than before: ${changed.join(', ')}\n`,
    )
    if (!values.short) await saveReport(mergeReports(earlier, now))
    return [...now.rows, ...now.long].every(({ verdict }) => verdict !== 'failed')
  } finally {
    await server.stop()
  }
}

try {
  process.exitCode = (await main()) ? 0 : 1
} catch (error) {
  process.stderr.write(`npm run chaos: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 2
}
