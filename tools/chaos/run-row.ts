import { setTimeout as delay } from 'node:timers/promises'
import { inScope } from '../processes/scope.ts'
import type { FaultRow, RowResult, RowScope, Verdict } from './row.ts'
import { createTally } from './tally.ts'

/** Longer than any row takes. */
const ROW_LIMIT_MS = 240_000

/** Runs a row to its verdict; a row that fails, or hangs, throws nothing. What it has set up is undone before this resolves. */
export async function runRow(
  { row, fault, what, run, limitMs = ROW_LIMIT_MS }: FaultRow,
  { short }: { short: boolean },
): Promise<RowResult> {
  const tally = createTally()
  const figures: string[] = []
  let recoveryMs: number | null = null
  let verdict: Verdict = 'not built'
  if (run !== undefined) {
    try {
      await inScope(async ({ after }) => {
        const scope: RowScope = {
          after,
          tally,
          short,
          says: (figure) => void figures.push(figure),
          recovered(ms) {
            recoveryMs = Math.max(recoveryMs ?? 0, Math.round(ms))
          },
        }
        await inTime(run(scope), limitMs)
      })
      // Wherever the failure of one of many requests went: this is a bug.
      if ('500' in tally.answers) throw new Error(`${tally.answers['500']} answers were 500`)
      verdict = 'held'
    } catch (error) {
      verdict = 'failed'
      figures.push(`FAILED: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  const { requests, answers } = tally
  return { row, fault, what, requests, answers: { ...answers }, recoveryMs, figures: figures.join('; '), verdict }
}

async function inTime(work: Promise<void>, limitMs: number): Promise<void> {
  const over = new AbortController()
  const late = delay(limitMs, undefined, { signal: over.signal, ref: false }).then(() => {
    throw new Error(`Not over after ${limitMs / 1000} s`)
  })
  late.catch(() => {})
  try {
    await Promise.race([work, late])
  } finally {
    over.abort()
  }
}
