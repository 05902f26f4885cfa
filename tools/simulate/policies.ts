import { createLists } from './lists.ts'
import type { Trace } from './trace.ts'

/** A cache of limited size. */
export interface Policy {
  /** Requests an object, and admits it if it is absent. @returns whether it was there. */
  request(object: number, timeMs: number): boolean
}

export type CreatePolicy = (bytes: Trace['bytes'], capacityBytes: number) => Policy

/** Evicts the object that was admitted first. */
export const createFifo: CreatePolicy = (bytes, capacityBytes) => createQueue(bytes, capacityBytes, false)

/** Evicts the object whose last request is the oldest. */
export const createLru: CreatePolicy = (bytes, capacityBytes) => createQueue(bytes, capacityBytes, true)

function createQueue(bytes: Trace['bytes'], capacityBytes: number, renews: boolean): Policy {
  const lists = createLists(bytes.length, 1)
  let used = 0
  return {
    request(object) {
      const hit = lists.listOf(object) !== undefined
      if (hit && !renews) return true
      if (hit) lists.remove(object)
      else used += bytes[object] ?? 0
      lists.pushFront(0, object)
      while (used > capacityBytes) {
        const victim = lists.back(0)
        if (victim === undefined) break
        lists.remove(victim)
        used -= bytes[victim] ?? 0
      }
      return hit
    },
  }
}

const SEGMENTS = 4

/**
 * Four LRU lists of equal size: a request moves an object to the next higher one, and what a list has no room for moves to the
 * next lower one.
 *
 * @see Huang et al., An Analysis of Facebook Photo Caching, SOSP 2013
 */
export const createS4Lru: CreatePolicy = (bytes, capacityBytes) => {
  const lists = createLists(bytes.length, SEGMENTS)
  const used = new Float64Array(SEGMENTS)
  const move = (object: number, from: number | undefined, to: number): void => {
    const size = bytes[object] ?? 0
    if (from !== undefined) {
      lists.remove(object)
      used[from] = (used[from] ?? 0) - size
    }
    if (to < 0) return
    lists.pushFront(to, object)
    used[to] = (used[to] ?? 0) + size
  }
  return {
    request(object) {
      const segment = lists.listOf(object)
      move(object, segment, segment === undefined ? 0 : Math.min(SEGMENTS - 1, segment + 1))
      for (let list = SEGMENTS - 1; list >= 0; list -= 1) {
        while ((used[list] ?? 0) > capacityBytes / SEGMENTS) {
          const victim = lists.back(list)
          if (victim === undefined) break
          move(victim, list, list - 1)
        }
      }
      return segment !== undefined
    },
  }
}

/**
 * A queue with a hand that moves from the back to the front, spares objects that were requested since, and evicts the others.
 *
 * @see Zhang et al., SIEVE is Simpler than LRU, NSDI 2024
 */
export const createSieve: CreatePolicy = (bytes, capacityBytes) => {
  const lists = createLists(bytes.length, 1)
  const visited = new Uint8Array(bytes.length)
  let used = 0
  let hand: number | undefined
  /** @returns the bytes of the victim; 0 if there is none. */
  const evict = (): number => {
    let object = hand ?? lists.back(0)
    while (object !== undefined && visited[object] === 1) {
      visited[object] = 0
      object = lists.ahead(object) ?? lists.back(0)
    }
    if (object === undefined) return 0
    hand = lists.ahead(object)
    lists.remove(object)
    return bytes[object] ?? 0
  }
  return {
    request(object) {
      if (lists.listOf(object) !== undefined) {
        visited[object] = 1
        return true
      }
      used += bytes[object] ?? 0
      for (let freed = 1; used > capacityBytes && freed > 0; used -= freed) freed = evict()
      visited[object] = 0
      lists.pushFront(0, object)
      return false
    },
  }
}
