/** Response times of the last calls. */
export interface LatencyWindow {
  add(ms: number): void
  /**
   * @param share From 0 to 1, such as 0.95.
   * @returns milliseconds; undefined until there were enough calls.
   */
  quantile(share: number): number | undefined
}

const SIZE = 512
const FEWEST = 100
/** Sorting 512 numbers takes 20 µs: once for so many calls. */
const SORT_EVERY = 32

export function createLatencyWindow(): LatencyWindow {
  const times: number[] = []
  let next = 0
  let sorted: readonly number[] = []
  let unsorted = SORT_EVERY
  return {
    add(ms) {
      times[next] = ms
      next = (next + 1) % SIZE
      unsorted += 1
    },
    quantile(share) {
      if (times.length < FEWEST) return undefined
      if (unsorted >= SORT_EVERY) {
        sorted = times.toSorted((one, other) => one - other)
        unsorted = 0
      }
      return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
    },
  }
}
