import type { Scope } from '../processes/scope.ts'
import type { Answers, Tally } from './tally.ts'

/** What a row has for itself while it runs. */
export interface RowScope extends Scope {
  readonly tally: Tally
  /** Fewer of everything, and nothing that only time brings. */
  readonly short: boolean
  /** Says a figure, for the table. */
  says(figure: string): void
  /** How long after the end of the fault all was right again; the longest of several counts. */
  recovered(ms: number): void
}

/** A row of the table of faults, and how it is provoked. */
export interface FaultRow {
  readonly row: number
  readonly fault: string
  /** What is done, in a sentence. */
  readonly what: string
  /** Provokes the fault. @throws whatever does not hold. Absent: what could fail so is not built. */
  readonly run?: (scope: RowScope) => Promise<void>
  /** What takes longer has failed; absent: four minutes. */
  readonly limitMs?: number
}

export type Verdict = 'held' | 'failed' | 'not built'

/** What came of a row; a line of the table, and of `docs/faults.json`. */
export interface RowResult {
  readonly row: number
  readonly fault: string
  readonly what: string
  readonly requests: number
  readonly answers: Answers
  /** Null if nothing had to recover. */
  readonly recoveryMs: number | null
  readonly figures: string
  readonly verdict: Verdict
}
