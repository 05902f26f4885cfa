import { createFairTurns } from './fair-turns.ts'

/** Items that wait, each of a client: the clients take turns, and the items of one client go in order of arrival. */
export interface FairLine<T> {
  add(client: string, item: T): void
  /** An item that is not there, or no longer, is no error. */
  remove(client: string, item: T): void
  /** The item whose turn is next; it stays in the line. */
  next(): T | undefined
  /** An item of this client has had its turn. @param cost What it takes of what the clients share, in any unit. */
  took(client: string, cost: number): void
  readonly size: number
}

export function createFairLine<T>(): FairLine<T> {
  const turns = createFairTurns<string>()
  // Sets keep the order of arrival, and remove from the middle at no cost.
  const waiting = new Map<string, Set<T>>()
  let size = 0
  return {
    add(client, item) {
      const items = waiting.get(client) ?? new Set()
      waiting.set(client, items.add(item))
      size += 1
    },
    remove(client, item) {
      const items = waiting.get(client)
      if (!items?.delete(item)) return
      size -= 1
      if (items.size === 0) waiting.delete(client)
    },
    next() {
      const client = turns.next(waiting.keys())
      const [first] = waiting.get(client ?? '') ?? []
      return first
    },
    took: turns.took,
    get size() {
      return size
    },
  }
}
