/** Gives those who want the same thing equal shares of it, by what each takes of it at a time. */
export interface FairTurns<Key extends string> {
  /** Whose turn it is among those who wait. */
  next(waiting: Iterable<Key>): Key | undefined
  /** @param cost What it takes, in any unit. */
  took(key: Key, cost: number): void
}

/** When more keys than this owe something, the half that owes the least is forgiven. */
const MAX_REMEMBERED = 10_000

/**
 * Start-time fair queueing: a key's next turn is due when its last one would have ended, had it been alone. A key that was
 * absent for a while has saved up nothing, and owes nothing.
 *
 * @see Goyal, Vin, Cheng: Start-Time Fair Queuing, SIGCOMM 1996
 */
export function createFairTurns<Key extends string>(): FairTurns<Key> {
  const dueAt = new Map<Key, number>()
  let clock = 0

  const due = (key: Key): number => Math.max(clock, dueAt.get(key) ?? 0)

  function forget(): void {
    if (dueAt.size <= MAX_REMEMBERED) return
    const inOrder = [...dueAt.values()].toSorted((one, other) => one - other)
    clock = Math.max(clock, inOrder[MAX_REMEMBERED / 2] ?? clock)
    for (const [key, at] of dueAt) if (at <= clock) dueAt.delete(key)
  }

  return {
    next(waiting) {
      let best: Key | undefined
      for (const key of waiting) if (best === undefined || due(key) < due(best)) best = key
      return best
    },
    took(key, cost) {
      clock = due(key)
      dueAt.set(key, clock + cost)
      forget()
    },
  }
}

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
