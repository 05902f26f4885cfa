import { percentile } from '../requests/percentile.ts'
import { claim, seconds, type TrialFigure } from '../trials/trial-report.ts'
import type { Place } from './cluster.ts'
import type { Exchange } from './viewers.ts'

/** A change of the cluster, and the time until the next one. Times are of `performance.now()`. */
export interface Phase {
  readonly name: string
  readonly begun: number
  /** The last change was complete; nothing but the load went on until the end. */
  readonly settled: number
  readonly ended: number
  /** The node that fails, which may fail requests that it accepts until that time. */
  readonly excused?: { readonly node: string; readonly until: number } | undefined
  /** The end of the fault, before that of the phase. */
  readonly faultEnded?: number | undefined
}

/** p99 has recovered by then. */
const RECOVERED_MS = 10_000
const FROZEN_MS = 3000
/** p99 may be so many times that before all changes, or the second if that is more. */
const SLOWER = 2
const UNNOTICED_MS = 150
/** Requests from which a p99 is judged. */
const ENOUGH = 200

const isGood = ({ status }: Exchange): boolean => status === 200 || status === 201

export interface Judged {
  readonly phases: readonly Phase[]
  readonly exchanges: readonly Exchange[]
  readonly places: ReadonlyMap<string, Place>
  /** Milliseconds, before all changes. */
  readonly calmMs: number
}

/** Failed requests, requests to a frozen node, and p99 of a phase. */
export function judgePhase(phase: Phase, { phases, exchanges, places, calmMs }: Judged): readonly TrialFigure[] {
  const { name, begun, ended, excused } = phase
  const during = exchanges.filter((each) => each.begun >= begun && each.begun < ended)
  const failed = during.filter((each) => !isGood(each))
  // A request counts in the phase in which it was sent, and a node that fails later may have accepted it.
  const isExcused = (each: Exchange): boolean =>
    phases.some(
      ({ begun: from, excused: by }) =>
        by !== undefined &&
        places.get(each.requestId)?.node === by.node &&
        each.begun <= by.until &&
        each.ended >= from,
    )
  const bad = failed.filter((each) => !isExcused(each))
  const excusedCount = failed.length - bad.length
  const value = `${bad.length} of ${during.length}${excusedCount > 0 ? `, and ${excusedCount} that the node had accepted` : ''}`
  const wanted = excused ? '0 but those that it had accepted' : '0'
  return [claim(`${name}: failed requests`, value, wanted, bad.length === 0), ...recovery(phase, during, calmMs)]
}

/** How long after the beginning of the phase requests still went to the node. */
export function lastRequestTo(node: string, phase: Phase, { exchanges, places }: Judged): TrialFigure {
  const until = phase.faultEnded ?? phase.ended
  const during = exchanges.filter(
    (each) => each.begun > phase.begun && each.begun < until && places.get(each.requestId)?.node === node,
  )
  const lastMs = Math.max(0, ...during.map((each) => each.begun - phase.begun))
  return claim(`${phase.name}: last request to it`, `after ${seconds(lastMs)}`, '3 s', lastMs <= FROZEN_MS)
}

/** p99 of views from ten seconds after the last change on, and likewise while a fault lasts. */
function recovery(phase: Phase, during: readonly Exchange[], calmMs: number): readonly TrialFigure[] {
  const { name, begun, settled, ended, faultEnded } = phase
  const windows = [
    { what: name, from: settled, to: ended },
    ...(faultEnded === undefined ? [] : [{ what: `${name}, while it lasts`, from: begun, to: faultEnded }]),
  ]
  return windows.flatMap(({ what, from, to }) => {
    const isLate = (each: Exchange): boolean => each.begun > from + RECOVERED_MS && each.begun < to
    const late = during.filter((each) => isLate(each) && each.kind !== 'upload')
    if (late.length < ENOUGH) return []
    const p99 = p99Of(late)
    const most = Math.max(SLOWER * calmMs, UNNOTICED_MS)
    return [claim(`${what}: p99 of views after 10 s`, `${p99} ms`, `at most ${most} ms`, p99 <= most)]
  })
}

export function p99Of(exchanges: readonly Exchange[]): number {
  return percentile(
    exchanges.map(({ begun, ended }) => ended - begun),
    0.99,
  )
}

/** A line for each failed request, at most so many. */
export function failureLines({ phases, exchanges, places }: Judged, most: number): readonly string[] {
  const failed = exchanges.filter((each) => !isGood(each))
  return failed.slice(0, most).map((each) => {
    const { requestId, kind, path, status, begun, ended } = each
    const phase = phases.findLast((one) => one.begun <= begun)
    const { node = '?', backend = '?', retries = 0 } = places.get(requestId) ?? {}
    const when = seconds(begun - (phase?.begun ?? begun))
    return `  ${status} ${kind} ${path} from ${node} (${backend}, ${retries} retries), ${when} into "${phase?.name}", after ${seconds(ended - begun)}`
  })
}
