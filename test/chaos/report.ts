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

const INTRODUCTION = `# What was done to it, and what came of it

Each row is a fault that the outside world can have. \`npm run chaos\` provokes all of them, one after the other, against real
processes: a node behind this repository's nginx, before a real S3 server that is seen through a proxy which can break the traffic. It
then writes this page. Root is needed, for small disks of their own, a limited memory, and a node that is another user's, who must be
able to read this folder.

\`\`\`sh
npm run chaos                     # all rows: about ten minutes
npm run chaos -- --row 4,22       # some of them
npm run chaos -- --short          # fewer of everything, nothing that only time brings; this page stays as it is
npm run chaos -- --uploads 10000  # uploads while faults come and go, then every object is compared
npm run chaos -- --sigterm 20     # SIGTERM under load, again and again
npm run chaos -- --rolling        # one of two nodes killed every ten seconds, for two minutes
npm run crash -- --rounds 1000    # kill -9 under mixed load
\`\`\`

How to read it:

- *Held* means that all of this was so: what the row expects; every failure was the JSON that all errors are, in words that tell nothing of
  what is behind the service, \`no-store\` (a 404 for seconds at most) and \`nosniff\`, a \`503\` with \`Retry-After\`; there was no \`500\`, no
  answer was cut or hung; and after the end of the fault the same process was right again within five seconds.
- *Answers* counts what clients got, by status; \`cut\` is a connection that ended without an answer, which a row allows only where it
  kills what the client talks to.
- *Recovery* is the time from the end of the fault to the first right answers, the longest if the row has several faults.
- Times depend on the machine. The bounds that a verdict stands on are in \`test/chaos/\`.
`

/** The page, of what was found. */
export function formatReport({ rows, long }: Report): string {
  const table = [
    '| # | fault | what was done | requests | answers | recovery | figures | verdict |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ...rows.map(formatRow),
  ]
  const runs = ['| run | command | figures | verdict |', '| --- | --- | --- | --- |', ...long.map(formatLong)]
  return [INTRODUCTION, ...table, '', '## The long runs', '', ...runs, ''].join('\n')
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
