import { editDistance } from './domain/edit-distance.ts'

/** Shorter names are near too many others: PORT, HOST, STORE. */
const LEAST_LENGTH = 8
const MOST_EDITS = 2
/** Names near ours that are not: the caches of two compilers, and `THUMBOR_NAME` of a linked container of Docker. */
const FOREIGN = /^S?CCACHE_DIR$|_NAME$/

/**
 * Variables that are no settings but nearly: somebody has misspelled one, and would otherwise get its default.
 *
 * @param given Names of the variables that are set.
 * @param known Names of all settings.
 * @param used Names that something else of ours refers to, such as the file of buckets.
 * @returns the mistakes, each with its name and the one that was meant.
 */
export function misspelledNames(
  given: readonly string[],
  known: readonly string[],
  used: ReadonlySet<string>,
): readonly string[] {
  const long = known.filter((name) => name.length >= LEAST_LENGTH)
  const strange = given.filter((name) => !known.includes(name) && !used.has(name) && !FOREIGN.test(name))
  return strange.flatMap((name) => {
    const meant = nearest(name, long)
    if (meant === undefined) return []
    return [
      `${name}: there is no such setting. Do you mean ${meant}? If it is another program's, unset it for this one`,
    ]
  })
}

function nearest(name: string, known: readonly string[]): string | undefined {
  const near = known
    .filter(({ length }) => Math.abs(length - name.length) <= MOST_EDITS)
    .map((other) => ({ other, edits: editDistance(name, other) }))
    .filter(({ edits }) => edits <= MOST_EDITS)
  return near.toSorted((one, another) => one.edits - another.edits)[0]?.other
}
