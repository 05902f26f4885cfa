import { readFile, writeFile } from 'node:fs/promises'
import { z } from 'zod'
import { formatReport, type Report } from './report.ts'

const DATA = new URL('../../docs/faults.json', import.meta.url)
const PAGE = new URL('../../docs/faults.md', import.meta.url)

const Saved = z.object({
  rows: z.array(
    z.object({
      row: z.number(),
      fault: z.string(),
      what: z.string(),
      requests: z.number(),
      answers: z.record(z.string(), z.number()),
      recoveryMs: z.number().nullable(),
      figures: z.string(),
      verdict: z.enum(['held', 'failed', 'not built']),
    }),
  ),
  long: z.array(
    z.object({ run: z.string(), command: z.string(), figures: z.string(), verdict: z.enum(['held', 'failed']) }),
  ),
})

/** What earlier runs have found; nothing if there were none. */
export async function loadReport(): Promise<Report> {
  const text = await readFile(DATA, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '{"rows":[],"long":[]}'
    throw error
  })
  return Saved.parse(JSON.parse(text))
}

/** Writes `docs/faults.json`, and `docs/faults.md` of it. */
export async function saveReport(report: Report): Promise<void> {
  await writeFile(DATA, `${JSON.stringify(report, undefined, 2)}\n`)
  await writeFile(PAGE, formatReport(report))
}
