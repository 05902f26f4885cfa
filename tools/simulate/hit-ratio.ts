import { optimalHitRatio } from './optimum.ts'
import { type CreatePolicy, createFifo, createLru, createS4Lru, createSieve } from './policies.ts'
import { createSweepPolicy } from './sweep-policy.ts'
import type { Trace } from './trace.ts'

const POLICIES: Readonly<Record<string, CreatePolicy>> = {
  Darkroom: createSweepPolicy,
  LRU: createLru,
  FIFO: createFifo,
  S4LRU: createS4Lru,
  SIEVE: createSieve,
}

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
    const { hits, reads, counted } = replay(trace, create(trace.bytes, capacity))
    ratios.set(name, hits / counted)
    storeReads.set(name, reads / counted)
  }
  ratios.set('Belady', optimalHitRatio(trace, capacity))
  return { share, ratios, storeReads }
}

function replay({ objects, times, source }: Trace, policy: ReturnType<CreatePolicy>) {
  const warm = Math.floor(objects.length / 2)
  let [hits, reads] = [0, 0]
  for (const [request, object] of objects.entries()) {
    const time = times[request] ?? 0
    const isHit = policy.request(object, time)
    const isRead = !isHit && !policy.request(source[object] ?? 0, time)
    if (request < warm) continue
    if (isHit) hits += 1
    if (isRead) reads += 1
  }
  return { hits, reads, counted: objects.length - warm }
}
