import { createHeap } from './heap.ts'
import type { Trace } from './trace.ts'

/**
 * Hits per request, in the second half of a trace, of the policy that knows the future (Belady): it evicts the object whose next request is the latest, and does not
 * admit one whose next request is later than those of all others. Renditions only, as no policy decides when a source is read
 * here; with objects of different sizes it is close to the optimum rather than exactly it.
 */
export function optimalHitRatio({ objects, bytes }: Trace, capacityBytes: number): number {
  const next = nextRequests(objects, bytes.length)
  const heap = createHeap(next.length, (one, other) => (next[one] ?? 0) > (next[other] ?? 0))
  const cachedUntil = new Int32Array(bytes.length).fill(-1)
  const warm = Math.floor(objects.length / 2)
  let used = 0
  let hits = 0
  for (const [request, object] of objects.entries()) {
    if (cachedUntil[object] === request) hits += request < warm ? 0 : 1
    else used += bytes[object] ?? 0
    const upcoming = next[request] ?? 0
    cachedUntil[object] = upcoming
    heap.push(request)
    while (used > capacityBytes) {
      const latest = heap.pop()
      if (latest === undefined) break
      const victim = objects[latest] ?? 0
      // An entry of an earlier request: the object was requested again since.
      if (cachedUntil[victim] !== next[latest] || cachedUntil[victim] === -1) continue
      cachedUntil[victim] = -1
      used -= bytes[victim] ?? 0
    }
  }
  return hits / (objects.length - warm)
}

/** By request: the index of the next request for the same object; the number of requests plus the object if there is none. */
function nextRequests(objects: Int32Array, count: number): Int32Array {
  const upcoming = Int32Array.from({ length: count }, (_, object) => objects.length + object)
  const next = new Int32Array(objects.length)
  for (let request = objects.length - 1; request >= 0; request -= 1) {
    const object = objects[request] ?? 0
    next[request] = upcoming[object] ?? 0
    upcoming[object] = request
  }
  return next
}
