import { createEvictionCounts, type FileFacts, markedMtime } from '../../src/domain/sweep/eviction-order.ts'
import { NEW_MS, planShortage, SWEEP_AT, type SweepLimits } from '../../src/domain/sweep/sweep-plan.ts'
import type { Policy } from './policies.ts'
import type { Trace } from './trace.ts'

const DAY_MS = 86_400_000
/** Defaults of CACHE_SWEEP_SECONDS and CACHE_MAX_IDLE_DAYS. */
const SWEEP_EVERY_MS = 600_000
const MAX_IDLE_MS = 30 * DAY_MS
/** With `relatime`, the kernel renews an access time after a day, or if the file was changed since. */
const RELATIME_MS = DAY_MS
/** The shortest time between two sweeps (`src/service/load/cache-keeper.ts`). */
const LEAST_PAUSE_MS = 5_000
/** Only the budget of the cache counts, not that of the disk. */
const ENDLESS = { totalBytes: 0, freeBytes: Number.POSITIVE_INFINITY, totalInodes: 0, freeInodes: 0 }

export interface SweepPolicy extends Policy {
  /** Objects in the cache. */
  readonly files: number
}

/**
 * The cache of a node: the decisions of `src/domain/sweep/` over the times of files that Linux records with `relatime`. Sweeps take
 * no time here; on a disk, further files are written meanwhile.
 */
export function createSweepPolicy(bytes: Trace['bytes'], capacityBytes: number): SweepPolicy {
  const times = {
    atimeMs: new Float64Array(bytes.length),
    ctimeMs: new Float64Array(bytes.length),
    mtimeMs: new Float64Array(bytes.length),
  }
  const cached = createCachedSet(bytes.length)
  const limits: SweepLimits = {
    maxIdleMs: MAX_IDLE_MS,
    maxBytes: capacityBytes * SWEEP_AT,
    minFreeBytes: 0,
    minFreeInodes: 0,
  }
  let used = 0
  let sweptAtMs = 0

  const factsOf = (object: number): FileFacts => ({
    atimeMs: times.atimeMs[object] ?? 0,
    ctimeMs: times.ctimeMs[object] ?? 0,
    mtimeMs: times.mtimeMs[object] ?? 0,
    blocks: (bytes[object] ?? 0) / 512,
  })
  const isNew = (object: number, nowMs: number): boolean =>
    nowMs - (times.ctimeMs[object] ?? 0) < NEW_MS && nowMs - (times.atimeMs[object] ?? 0) < NEW_MS
  const remove = (object: number): void => {
    cached.remove(object)
    used -= bytes[object] ?? 0
  }

  const sweep = (nowMs: number): void => {
    sweptAtMs = nowMs
    const shortage = planShortage(used, ENDLESS, limits)
    if (shortage.reasons.length === 0) return
    const counts = createEvictionCounts(nowMs)
    for (const object of cached.list()) {
      if (nowMs - (times.atimeMs[object] ?? 0) > limits.maxIdleMs) remove(object)
      else if (!isNew(object, nowMs)) counts.add(factsOf(object), bytes[object] ?? 0, 1)
    }
    const plan = counts.plan(shortage)
    for (const object of cached.list()) {
      if (isNew(object, nowMs)) continue
      const found = factsOf(object)
      const verdict = plan.decide(found)
      if (verdict === 'remove') {
        remove(object)
        plan.freed(found, bytes[object] ?? 0, 1)
      } else if (verdict !== 'keep') {
        times.ctimeMs[object] = nowMs
        times.mtimeMs[object] = markedMtime(found, verdict)
      }
    }
  }

  return {
    get files() {
      return cached.count
    },
    request(object, timeMs) {
      if (timeMs - sweptAtMs >= SWEEP_EVERY_MS) sweep(timeMs)
      if (cached.has(object)) {
        const { atimeMs, ctimeMs } = factsOf(object)
        if (atimeMs <= ctimeMs || timeMs - atimeMs > RELATIME_MS) times.atimeMs[object] = timeMs
        return true
      }
      cached.add(object)
      used += bytes[object] ?? 0
      times.mtimeMs[object] = 0
      times.ctimeMs[object] = timeMs
      // The request that caused it is sent the file.
      times.atimeMs[object] = timeMs + 1
      if (used > limits.maxBytes && timeMs - sweptAtMs >= LEAST_PAUSE_MS) sweep(timeMs)
      return false
    },
  }
}

interface CachedSet {
  readonly count: number
  has(object: number): boolean
  add(object: number): void
  remove(object: number): void
  /** A copy, so that objects may be removed meanwhile. */
  list(): Int32Array
}

function createCachedSet(objects: number): CachedSet {
  const members = new Int32Array(objects)
  const places = new Int32Array(objects).fill(-1)
  let count = 0
  return {
    get count() {
      return count
    },
    has: (object) => places[object] !== -1,
    add(object) {
      places[object] = count
      members[count] = object
      count += 1
    },
    remove(object) {
      const place = places[object] ?? -1
      if (place === -1) return
      count -= 1
      const last = members[count] ?? 0
      members[place] = last
      places[last] = place
      places[object] = -1
    },
    list: () => members.slice(0, count),
  }
}
