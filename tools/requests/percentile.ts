/** @param share 0.5: the median. @returns a whole number; 0 of nothing. */
export function percentile(values: readonly number[], share: number): number {
  return Math.round(values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? 0)
}
