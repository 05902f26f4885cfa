/** What a benchmark found out. */
export interface BenchReport {
  readonly figures: readonly Figure[]
  /** What the figures do not say, a line each. */
  readonly notes?: readonly string[]
  /** Everything that was measured, for the JSON file. */
  readonly raw: unknown
}

/** A line of the table. */
export interface Figure {
  readonly name: string
  readonly value: number
  /** A ratio has none. */
  readonly unit?: string
  /** In words; absent for what is there to be known only. */
  readonly wanted?: string
}

export interface BenchOptions {
  /** Short: to find out whether everything works, not how fast it is. */
  readonly smoke: boolean
  /** Where `make-images.ts` put its photographs; not used by a smoke run. */
  readonly imagesDir: string
  /** Rows of `render` that are wanted, as parts of their names. Absent: all. */
  readonly rows?: readonly string[]
  /** Of the rows of first views and uploads. Absent: three. */
  readonly rounds?: number
  /** Of each measurement of `storm` and each load of `overload`. Absent: their own. */
  readonly seconds?: number
}

/**
 * Measures each candidate once per round, every other round in the opposite order, so that what slows the machine for a
 * while slows all of them.
 *
 * @returns By the candidates' names, a value a round.
 */
export async function measureInTurn<Name extends string, T>(
  names: readonly Name[],
  rounds: number,
  measure: (name: Name, round: number) => Promise<T>,
): Promise<ReadonlyMap<Name, readonly T[]>> {
  const measured = new Map<Name, T[]>(names.map((name) => [name, []]))
  for (let round = 0; round < rounds; round += 1) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      measured.get(name)?.push(await measure(name, round))
    }
  }
  return measured
}

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  return ((sorted[(sorted.length - 1) >> 1] ?? Number.NaN) + (sorted[sorted.length >> 1] ?? Number.NaN)) / 2
}
