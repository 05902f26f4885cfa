/**
 * The values of several sources in turn, so that a source with many does not delay the others.
 * @returns an iterator for one consumer or several; `return` ends all sources.
 */
export async function* interleave<T>(sources: readonly AsyncIterable<T>[]): AsyncGenerator<T, void, undefined> {
  const open = new Set(sources.map((source) => source[Symbol.asyncIterator]()))
  try {
    while (open.size > 0) {
      for (const source of open) {
        const next = await source.next()
        if (next.done) open.delete(source)
        else yield next.value
      }
    }
  } finally {
    for (const source of open) await source.return?.()
  }
}
