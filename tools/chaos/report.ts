import type { RowResult } from './row.ts'
import type { Answers } from './tally.ts'

/** What came of one of the long runs. */
export interface LongResult {
  readonly run: string
  /** The command that repeats it. */
  readonly command: string
  readonly figures: string
  readonly verdict: 'held' | 'failed'
}

/** All that `docs/faults.md` is made of. */
export interface Report {
  readonly rows: readonly RowResult[]
  readonly long: readonly LongResult[]
}

const INTRODUCTION = `# Fault injection results

This page is for operators and contributors. It lists every injected fault with its effect on clients, its recovery time and the verdict,
and the commands to repeat it. \`npm run chaos\` injects all faults, one after another, into real
processes: a node behind this repository's nginx, connected to a real S3 server through a fault-injecting proxy. It
then writes this page. It needs root, for small separate disks, limited memory, and a node that runs as another user, who must be
able to read this folder.

\`\`\`sh
npm run chaos                     # all rows: about ten minutes
npm run chaos -- --row 4,22       # selected rows
npm run chaos -- --short          # fewer requests, without long waits; this page is not changed
npm run chaos -- --uploads 10000  # uploads during intermittent faults, then every object is compared
npm run chaos -- --sigterm 20     # repeated SIGTERM under load
npm run chaos -- --rolling        # one of two nodes killed every ten seconds, for two minutes
npm run crash -- --rounds 1000    # kill -9 under mixed load
npm run power-cut                 # power cuts of the cache's disk under load
\`\`\`

Columns:

- *Verdict*: *held* means that all of these conditions were met. The row's own expectations held. Every error was Darkroom's JSON,
  disclosed nothing about the backend, and had \`no-store\` (a 404 is cacheable for some seconds) and \`nosniff\`; every \`503\` had
  \`Retry-After\`. There was no \`500\`, and no response was truncated or hung. After the end of the fault, the same process
  responded correctly within five seconds.
- *Responses* counts the responses to clients, by status; \`cut\` is a connection that ended without a response, which a row allows only if
  it kills the client's peer.
- *Recovery* is the time from the end of the fault to the first correct responses, the longest if the row has several faults.
- Times depend on the machine. The limits of each verdict are in \`tools/chaos/\`.
`

/** The page, of what was found. */
export function formatReport({ rows, long }: Report): string {
  const table = [
    '| # | fault | injection | requests | responses | recovery | figures | verdict |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ...rows.map(formatRow),
  ]
  const runs = ['| run | command | figures | verdict |', '| --- | --- | --- | --- |', ...long.map(formatLong)]
  return [INTRODUCTION, ...table, '', '## Long runs', '', ...runs, ''].join('\n')
}

function formatRow({ row, fault, what, requests, answers, recoveryMs, figures, verdict }: RowResult): string {
  const recovery = recoveryMs === null ? '' : `${recoveryMs} ms`
  return line([String(row), fault, what, String(requests), formatAnswers(answers), recovery, figures, verdict])
}

function formatLong({ run, command, figures, verdict }: LongResult): string {
  return line([run, `\`${command}\``, figures, verdict])
}

/** As `200: 12, 503: 4`. */
export function formatAnswers(answers: Answers): string {
  return Object.entries(answers)
    .map(([status, count]) => `${status}: ${count}`)
    .join(', ')
}

function line(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll(/\s+/g, ' ')).join(' | ')} |`
}

/** The earlier report with what was found now in the place of what was found then. */
export function mergeReports(earlier: Report, now: Report): Report {
  const rows = earlier.rows.filter(({ row }) => now.rows.every((other) => other.row !== row))
  const long = earlier.long.filter(({ run }) => now.long.every((other) => other.run !== run))
  return {
    rows: [...rows, ...now.rows].toSorted((a, b) => a.row - b.row),
    long: [...long, ...now.long].toSorted((a, b) => (a.run < b.run ? -1 : 1)),
  }
}

/** Rows whose verdict is another one than it was. */
export function changedVerdicts(earlier: Report, now: Report): readonly number[] {
  const before = new Map(earlier.rows.map(({ row, verdict }) => [row, verdict]))
  return now.rows.filter(({ row, verdict }) => before.has(row) && before.get(row) !== verdict).map(({ row }) => row)
}
