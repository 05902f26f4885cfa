import { percentile99 } from './render-views.ts'
import type { Sample } from './generator-plan.ts'

/** What came of the requests of a stretch of time. Times in milliseconds. */
export interface Outcome {
  readonly asked: number
  /** Pictures a second that came in that time, whenever they were asked for. */
  readonly goodput: number
  readonly admittedP50: number
  readonly admittedP99: number
  readonly refused: number
  /** 503 and 429 without Retry-After. */
  readonly unexplained: number
  readonly refusedP50: number
  readonly refusedP99: number
  /** Other statuses, and broken connections. */
  readonly failed: number
}

export interface Span {
  readonly fromMs: number
  readonly toMs: number
}

export function outcomeOf(samples: readonly Sample[], { fromMs, toMs }: Span): Outcome {
  const came = samples.filter(
    (sample) => isAdmitted(sample) && sample[0] + sample[1] >= fromMs && sample[0] + sample[1] < toMs,
  )
  const within = samples.filter(([at]) => at >= fromMs && at < toMs)
  const admitted = within.filter(isAdmitted).map(([, took]) => took)
  const refusals = within.filter(isRefused)
  const refused = refusals.map(([, took]) => took)
  return {
    asked: within.length,
    goodput: (came.length * 1000) / (toMs - fromMs),
    admittedP50: median(admitted),
    admittedP99: percentile99(admitted),
    refused: refused.length,
    unexplained: refusals.filter(([, , , retryAfter]) => !retryAfter).length,
    refusedP50: median(refused),
    refusedP99: percentile99(refused),
    failed: within.length - admitted.length - refused.length,
  }
}

/**
 * How long after the end of an overload the last request was asked for that was refused, failed, or took longer than they
 * do when all is well; milliseconds.
 */
export function recoveredAfterMs(samples: readonly Sample[], after: Span, normalMs: number): number {
  const bad = samples.filter(
    (sample) => sample[0] >= after.fromMs && sample[0] < after.toMs && (!isAdmitted(sample) || sample[1] > normalMs),
  )
  return Math.max(0, ...bad.map(([at]) => at - after.fromMs))
}

function isAdmitted([, , status]: Sample): boolean {
  return status === 200
}

function isRefused([, , status]: Sample): boolean {
  return status === 503 || status === 429
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN
}
