import { editDistance } from '../domain/text/edit-distance.ts'

/** Shorter names are similar to too many others: PORT, HOST, STORE. */
const LEAST_LENGTH = 8
const MOST_EDITS = 2
/** Similar names of other programs: the caches of two compilers, and `THUMBOR_NAME` of a linked Docker container. */
const FOREIGN = /^S?CCACHE_DIR$|_NAME$/

/**
 * Variables with nearly the name of a setting: a misspelled setting would silently keep its default.
 *
 * @param given Names of the variables that are set.
 * @param known Names of all settings.
 * @param used Names of other variables that Darkroom reads, such as those in the buckets file.
 * @returns the mistakes, each with the given name and the nearest setting.
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
    return [`${name}: unknown setting. Did you mean ${meant}? If another program uses it, unset it for Darkroom`]
  })
}

function nearest(name: string, known: readonly string[]): string | undefined {
  const near = known
    .filter(({ length }) => Math.abs(length - name.length) <= MOST_EDITS)
    .map((other) => ({ other, edits: editDistance(name, other) }))
    .filter(({ edits }) => edits <= MOST_EDITS)
  return near.toSorted((one, another) => one.edits - another.edits)[0]?.other
}
