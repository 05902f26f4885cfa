/** The client of work that belongs to none. */
export const NO_CLIENT = ''

/** Equal shares of time: keys take turns, by the cost of what each has had. */
export interface FairTurns<Key extends string> {
  /** @returns The waiting key that has the next turn. */
  next(waiting: Iterable<Key>): Key | undefined
  /**
   * @param cost Cost of this turn, in any unit.
   * @param waiting Number of keys that wait. The clock advances by their share of the cost: otherwise keys that are new, one after the
   *   other, would all come before one that has had its turn.
   */
  took(key: Key, cost: number, waiting?: number): void
}

/** When more keys than this owe something, the half that owes the least is forgiven. */
const MAX_REMEMBERED = 10_000

/**
 * Start-time fair queueing: a key's next turn is due when its last one would have ended, had it been alone. A key that was
 * absent for a while has neither credit nor debt.
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
    took(key, cost, waiting = Infinity) {
      const began = due(key)
      dueAt.set(key, began + cost)
      clock = began + cost / Math.max(1, waiting)
      forget()
    },
  }
}

/** A queue of items of several clients: the clients take turns; items of one client keep their order of arrival. */
export interface FairLine<T> {
  add(client: string, item: T): void
  /** An item that is not in the line is ignored. */
  remove(client: string, item: T): void
  /** The item with the next turn; it stays in the line. */
  next(): T | undefined
  /** An item of this client has had its turn. @param cost Its cost, in any unit. */
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
      const [first] = waiting.get(client ?? NO_CLIENT) ?? []
      return first
    },
    took: (client, cost) => turns.took(client, cost, waiting.size),
    get size() {
      return size
    },
  }
}

/** A bounded number of places, shared between clients. */
export interface Seats {
  /** Whether there is no free seat for this client. @param client Absent: only the total counts. */
  isFull(client?: string): boolean
  /** @returns Gives the seat back; a second call has no effect. */
  take(client?: string): () => void
}

/**
 * A client may have as many seats as are free: a single greedy client gets half of them, two get a third each, and the next
 * client always finds some free. Seats without a client are bounded by the total alone.
 *
 * @see Choudhury, Hahne: Dynamic Queue Length Thresholds for Shared-Memory Packet Switches, ToN 1998
 */
export function createSeats(max: number): Seats {
  const byClient = new Map<string, number>()
  let taken = 0

  const ofClient = (client: string): number => byClient.get(client) ?? 0

  return {
    isFull: (client) => taken >= max || (client !== undefined && ofClient(client) >= max - taken),
    take(client) {
      taken += 1
      if (client !== undefined) byClient.set(client, ofClient(client) + 1)
      let isHeld = true
      return () => {
        if (!isHeld) return
        isHeld = false
        taken -= 1
        if (client === undefined) return
        const left = ofClient(client) - 1
        if (left > 0) byClient.set(client, left)
        else byClient.delete(client)
      }
    },
  }
}
