import type { Sample } from './generator-plan.ts'
import { median } from './measure.ts'
import { percentile99 } from './render-views.ts'

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
 * How long after the end of an overload all was well again for good; milliseconds. Well: from then on nobody is refused, nothing
 * fails, and of a hundred pictures that are asked for one after the other, one may take longer than they do when all is well.
 */
export function recoveredAfterMs(samples: readonly Sample[], after: Span, normalMs: number): number {
  const inOrder = samples
    .filter(([at]) => at >= after.fromMs && at < after.toMs)
    .toSorted(([first], [second]) => first - second)
  const isSlow = (sample: Sample) => !isAdmitted(sample) || sample[1] > normalMs
  const lastBad = inOrder.findLastIndex((sample, index) => {
    if (!isAdmitted(sample)) return true
    // One that is slow for itself is chance: at any time a hundredth of them is.
    return isSlow(sample) && inOrder.slice(Math.max(0, index - 99), index).some(isSlow)
  })
  return Math.max(0, (inOrder[lastBad]?.[0] ?? 0) - after.fromMs)
}

function isAdmitted([, , status]: Sample): boolean {
  return status === 200
}

function isRefused([, , status]: Sample): boolean {
  return status === 503 || status === 429
}
