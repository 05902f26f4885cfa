import type { FuzzSeed } from './fuzz-seeds.ts'

/** What is fuzzed, and for how long. */
export interface FuzzRun {
  readonly seeds: readonly FuzzSeed[]
  readonly count: number
  /** Any whole number but 0; the same one makes the same requests. */
  readonly seed: number
  /** Nothing more is made after this time. */
  readonly seconds: number
}

/** Number of concurrent clients. */
export const FUZZ_CLIENTS = 4

/**
 * Each client takes the next one, until there were `count` or the time is over.
 *
 * @param tryOne Gets the number of what is tried, from 1, and that of the client, from 0.
 * @returns how many there were.
 */
export async function byClients(
  { count, seconds }: { readonly count: number; readonly seconds: number },
  tryOne: (number: number, client: number) => Promise<void>,
): Promise<number> {
  const deadline = performance.now() + seconds * 1000
  let taken = 0
  const client = async (_: unknown, index: number): Promise<void> => {
    while (taken < count && performance.now() < deadline) {
      taken += 1
      await tryOne(taken, index)
    }
  }
  await Promise.all(Array.from({ length: FUZZ_CLIENTS }, client))
  return taken
}
