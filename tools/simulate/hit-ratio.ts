import { createGdsf } from './gdsf.ts'
import { optimalHitRatio } from './optimum.ts'
import { type CreatePolicy, createFifo, createLru, createS4Lru, createSieve, type Policy } from './policies.ts'
import { createSweepPolicy } from './sweep-policy.ts'
import type { Trace } from './trace.ts'

export const POLICIES = {
  Darkroom: createSweepPolicy,
  LRU: createLru,
  FIFO: createFifo,
  S4LRU: createS4Lru,
  SIEVE: createSieve,
  GDSF: createGdsf,
} as const satisfies Record<string, CreatePolicy>

export interface HitRatios {
  /** Of the disk usage of all objects. */
  readonly share: number
  /** By policy: hits per request for a rendition. */
  readonly ratios: ReadonlyMap<string, number>
  /** By policy: reads of the store per request. */
  readonly storeReads: ReadonlyMap<string, number>
}

/**
 * Replays a trace through each policy with an empty cache of a share of the bytes. A miss of a rendition requests the source of
 * its original, whose miss is a read of the store. The first half of the requests warms the cache, and does not count.
 */
export function hitRatios(trace: Trace, share: number): HitRatios {
  const capacity = trace.totalBytes * share
  const ratios = new Map<string, number>()
  const storeReads = new Map<string, number>()
  for (const [name, create] of Object.entries(POLICIES)) {
    const { isHit, isRead } = replay(trace, create(trace.bytes, capacity))
    ratios.set(name, afterWarmUp(isHit))
    storeReads.set(name, afterWarmUp(isRead))
  }
  ratios.set('Belady', optimalHitRatio(trace, capacity))
  return { share, ratios, storeReads }
}

/** By request: 1 for a hit, and 1 for a read of the store. */
export interface Replayed {
  readonly isHit: Uint8Array
  readonly isRead: Uint8Array
}

export function replay({ objects, times, source }: Trace, policy: Policy): Replayed {
  const isHit = new Uint8Array(objects.length)
  const isRead = new Uint8Array(objects.length)
  for (let request = 0; request < objects.length; request += 1) {
    const object = objects[request] ?? 0
    const time = times[request] ?? 0
    if (policy.request(object, time)) isHit[request] = 1
    else if (!policy.request(source[object] ?? 0, time)) isRead[request] = 1
  }
  return { isHit, isRead }
}

/** The share of requests in the second half, which the first half has warmed the cache for. */
export function afterWarmUp(flags: Uint8Array): number {
  return shareOf(flags, Math.floor(flags.length / 2), flags.length)
}

/** The share of requests from one up to another (exclusive). */
export function shareOf(flags: Uint8Array, from: number, to: number): number {
  return flags.subarray(from, to).reduce((sum, flag) => sum + flag, 0) / (to - from)
}
