/** How long what was learned of an original may be used. Whole seconds. */
export interface Freshness {
  /** Since it was learned; within it nobody is asked. */
  readonly freshSeconds: number
  /** After that: while it is being asked, for those who come meanwhile. */
  readonly staleWhileRevalidateSeconds: number
  /** After the fresh time: while whoever could tell does not answer. */
  readonly staleIfErrorSeconds: number
}

/** `fresh`: nobody is asked. `stale`: good for whoever comes now, while it is being asked. `old`: only if nobody answers. */
export type Age = 'fresh' | 'stale' | 'old' | 'expired'

/** @param ageSeconds Negative when a clock was set back: then nothing is known. */
export function judgeAge(ageSeconds: number, freshness: Freshness): Age {
  const { freshSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds } = freshness
  if (ageSeconds < 0) return 'old'
  if (ageSeconds < freshSeconds) return 'fresh'
  if (ageSeconds < freshSeconds + staleWhileRevalidateSeconds) return 'stale'
  return ageSeconds < freshSeconds + staleIfErrorSeconds ? 'old' : 'expired'
}

/** The same for caches behind us, beside an `Age` that says how much of it is over. */
export function formatFreshness(freshness: Freshness): string {
  const { freshSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds } = freshness
  const more = [
    staleWhileRevalidateSeconds > 0 && `stale-while-revalidate=${staleWhileRevalidateSeconds}`,
    staleIfErrorSeconds > 0 && `stale-if-error=${staleIfErrorSeconds}`,
  ]
  return ['public', `max-age=${freshSeconds}`, ...more.filter((directive) => directive !== false)].join(', ')
}
