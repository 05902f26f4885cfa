// The body of `npm run chaos`: injects every fault of the table into real processes, and writes docs/faults.md.
import { ALL_ROWS } from './chaos/all-rows.ts'
import { rollThrough } from './chaos/long-rolling.ts'
import { terminateAgainAndAgain } from './chaos/long-sigterm.ts'
import { uploadThroughFaults } from './chaos/long-uploads.ts'
import { changedVerdicts, formatAnswers, type LongResult, mergeReports } from './chaos/report.ts'
import { loadReport, saveReport } from './chaos/report-file.ts'
import type { FaultRow, RowResult, RowScope } from './chaos/row.ts'
import { runRow } from './chaos/run-row.ts'
import { runTool, say } from './commands/run-tool.ts'
import { wholeNumber } from './commands/whole-number.ts'
import { shareS3Server, startS3Server } from './s3/start-s3-server.ts'
import { ensureNginx } from './servers/install-servers.ts'

const USAGE = `Usage: npm run chaos [-- <options>]

Injects every fault of docs/faults.md into real processes and records the results. Requires root.

  --row 4,22       run only these rows; default: all
  --short          fewer repetitions, and no faults that take long; does not write docs/faults.md
  --uploads 10000  instead of the rows: this many uploads during changing faults
  --sigterm 20     instead of the rows: SIGTERM under load, this many times
  --rolling        instead of the rows: kill one of two nodes every ten seconds
  --seconds 120    duration of --rolling
  --help           print this help

Writes docs/faults.md and docs/faults.json. Exit code: 0 all held; 1 a row or run failed; 2 the command could not run.
`

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
    if (found === undefined)
      throw new Error(`--row: "${number}" is not a row; rows are numbers from 1 to ${ALL_ROWS.length}`)
    return found
  })
}

async function runRows(rows: readonly FaultRow[], short: boolean): Promise<RowResult[]> {
  const results: RowResult[] = []
  for (const row of rows) {
    const began = performance.now()
    const result = await runRow(row, { short })
    const seconds = ((performance.now() - began) / 1000).toFixed(1)
    const recovery = result.recoveryMs === null ? '' : `, recovered after ${result.recoveryMs} ms`
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

interface LongChoice {
  readonly uploads?: string | undefined
  readonly sigterm?: string | undefined
  readonly rolling: boolean
  readonly seconds: string
}

function chosenRuns({ uploads, sigterm, rolling, seconds }: LongChoice): readonly LongRun[] {
  const runs: LongRun[] = []
  const length = wholeNumber('seconds', seconds)
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
    say(`${run}: ${verdict} (${formatAnswers(answers)})\n    ${figures}`)
    results.push({ run, command, figures, verdict: verdict === 'held' ? 'held' : 'failed' })
  }
  return results
}

await runTool({
  name: 'chaos',
  usage: USAGE,
  options: OPTIONS,
  async run(values) {
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
      say(changed.length === 0 ? 'No verdict changed' : `Changed verdicts: ${changed.join(', ')}`)
      if (!values.short) await saveReport(mergeReports(earlier, now))
      return [...now.rows, ...now.long].some(({ verdict }) => verdict === 'failed') ? 1 : 0
    } finally {
      await server.stop()
    }
  },
})
