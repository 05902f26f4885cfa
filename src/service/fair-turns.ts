/** Gives those who want the same thing equal shares of it, by what each takes of it at a time. */
export interface FairTurns<Kind extends string> {
  /** Whose turn it is among those who wait. */
  next(waiting: readonly Kind[]): Kind | undefined
  /** @param cost What it takes, in any unit. */
  took(kind: Kind, cost: number): void
}

/**
 * Start-time fair queueing: a kind's next turn is due when its last one would have ended, had it been alone. Who has not been
 * there for a while has saved up nothing, and owes nothing.
 *
 * @see Goyal, Vin, Cheng: Start-Time Fair Queuing, SIGCOMM 1996
 */
export function createFairTurns<Kind extends string>(): FairTurns<Kind> {
  const dueAt = new Map<Kind, number>()
  let clock = 0

  const due = (kind: Kind): number => Math.max(clock, dueAt.get(kind) ?? 0)

  return {
    next: ([first, ...others]) => first && others.reduce((best, kind) => (due(kind) < due(best) ? kind : best), first),
    took(kind, cost) {
      clock = due(kind)
      dueAt.set(kind, clock + cost)
    },
  }
}
