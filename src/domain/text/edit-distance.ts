/**
 * Levenshtein distance: the minimum number of insertions, deletions and replacements between two texts.
 * @see https://en.wikipedia.org/wiki/Levenshtein_distance
 */
export function editDistance(one: string, other: string): number {
  // Distances of the prefix of `one` to each prefix of `other`.
  let row = Array.from({ length: other.length + 1 }, (_, length) => length)
  for (let index = 0; index < one.length; index += 1) {
    const next = [index + 1]
    for (let column = 0; column < other.length; column += 1) {
      const replaced = (row[column] ?? 0) + (one[index] === other[column] ? 0 : 1)
      next.push(Math.min(replaced, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1))
    }
    row = next
  }
  return row.at(-1) ?? 0
}

/**
 * The nearest of `words`, if it is near enough.
 *
 * @returns undefined if none is within `maxDistance`; the first of several that are equally near.
 * @example nearestWord('coverr', ['contain', 'cover'], 2) // 'cover'
 */
export function nearestWord<T extends string>(word: string, words: readonly T[], maxDistance: number): T | undefined {
  let nearest: T | undefined
  let least = maxDistance + 1
  for (const each of words) {
    // Lengths that differ by more exclude a shorter distance, and a client's text can be long.
    if (Math.abs(each.length - word.length) >= least) continue
    const distance = editDistance(word, each)
    if (distance >= least) continue
    nearest = each
    least = distance
  }
  return nearest
}
