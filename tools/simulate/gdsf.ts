import { createHeap } from './heap.ts'
import type { CreatePolicy } from './policies.ts'

/**
 * Greedy-dual size with frequency: evicts the object with the fewest requests per byte. A value that rises with each eviction is added to
 * the objects that are requested, so that those that are not requested any more become the least.
 *
 * @see Cherkasova, Improving WWW Proxies Performance with Greedy-Dual-Size-Frequency Caching Policy, HP Labs 1998
 */
export const createGdsf: CreatePolicy = (bytes, capacityBytes) => {
  const priorities = new Float64Array(bytes.length)
  /** Priorities by which the heap is ordered: those of the objects when they were pushed. */
  const keys = new Float64Array(bytes.length)
  const requests = new Int32Array(bytes.length)
  const heap = createHeap(bytes.length, (one, other) => (keys[one] ?? 0) < (keys[other] ?? 0))
  let used = 0
  let inflation = 0
  const push = (object: number): void => {
    keys[object] = priorities[object] ?? 0
    heap.push(object)
  }
  /** @returns the bytes of the victim; 0 if the first of the heap was requested meanwhile. */
  const evict = (): number => {
    const object = heap.pop()
    if (object === undefined) return 0
    if ((priorities[object] ?? 0) > (keys[object] ?? 0)) {
      push(object)
      return 0
    }
    inflation = keys[object] ?? 0
    requests[object] = 0
    return bytes[object] ?? 0
  }
  return {
    request(object) {
      const count = (requests[object] ?? 0) + 1
      requests[object] = count
      priorities[object] = inflation + count / (bytes[object] ?? 1)
      if (count > 1) return true
      used += bytes[object] ?? 0
      push(object)
      while (used > capacityBytes) used -= evict()
      return false
    },
  }
}
