import type { Demand } from './capacity.ts'
import { afterWarmUp, replay } from './hit-ratio.ts'
import { createSweepPolicy } from './sweep-policy.ts'
import { HISTORY_DAYS, type Trace } from './trace.ts'

export interface TraceScale {
  readonly originals: number
  readonly days: number
}

/** Originals of a trace so that each upload has so many views, in a steady state. */
export function originalsFor(viewsPerUpload: number, { requests, days }: { requests: number; days: number }): number {
  // The trace has the requests of its days, and the uploads of a history too.
  return Math.max(1, Math.round((requests * (HISTORY_DAYS + days)) / days / viewsPerUpload))
}

/** What the cache of a share of all bytes leaves to do, in the second half of a trace. */
export function demandAt(trace: Trace, { originals, days }: TraceScale, share: number): Demand {
  const capacity = trace.totalBytes * share
  const policy = createSweepPolicy(trace.bytes, capacity)
  const { isHit, isRead } = replay(trace, policy)
  const uploadsPerDay = originals / (HISTORY_DAYS + days)
  return {
    cacheBytesPerUpload: capacity / uploadsPerDay,
    filesPerUpload: policy.files / uploadsPerDay,
    misses: 1 - afterWarmUp(isHit),
    storeReads: afterWarmUp(isRead),
    ...requestsOf(trace),
  }
}

function requestsOf({ objects, bytes }: Trace): Pick<Demand, 'firstViews' | 'bytesPerRequest'> {
  const seen = new Uint8Array(bytes.length)
  const isFirst = objects.map((object) => {
    const first = 1 - (seen[object] ?? 0)
    seen[object] = 1
    return first
  })
  const total = objects.reduce((sum, object) => sum + (bytes[object] ?? 0), 0)
  return { firstViews: afterWarmUp(Uint8Array.from(isFirst)), bytesPerRequest: total / objects.length }
}
