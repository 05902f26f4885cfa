import type { Meter } from '../ports/meter.ts'

/** What is wrong with this node without being a reason to take it out: `/readyz` names it, and the log once. */
export interface Degradation {
  /** In the order in which they began. */
  readonly reasons: readonly string[]
  /**
   * @param reason For `/readyz`: without paths, names of buckets and the like, which go into `cause`.
   * @param options.lastsMs It ends by itself unless it begins again within this time. Absent: it lasts until its end.
   */
  begin(reason: string, options?: { readonly cause?: unknown; readonly lastsMs?: number }): void
  end(reason: string): void
}

export function createDegradation(meter: Pick<Meter, 'trouble'>, now: () => number): Degradation {
  const endsAt = new Map<string, number>()
  const told = new Set<string>()

  return {
    get reasons() {
      return [...endsAt].filter(([, end]) => end > now()).map(([reason]) => reason)
    },
    begin(reason, { cause, lastsMs = Infinity } = {}) {
      endsAt.set(reason, now() + lastsMs)
      if (told.has(reason)) return
      told.add(reason)
      meter.trouble(reason, cause)
    },
    end(reason) {
      endsAt.delete(reason)
      told.delete(reason)
    },
  }
}
