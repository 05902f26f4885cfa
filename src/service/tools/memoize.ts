import { LRUCache } from 'lru-cache'

/** What an entry weighs beside its key: the result, the map's slot. */
const ENTRY_BYTES = 1024

/**
 * A pure function of a text that remembers its latest results; what it throws is not remembered.
 * @param maxBytes Memory that it may use, about.
 */
export function memoize<T extends object>(compute: (text: string) => T, maxBytes: number): (text: string) => T {
  const results = new LRUCache<string, T>({
    maxSize: maxBytes,
    sizeCalculation: (_, text) => ENTRY_BYTES + 2 * text.length,
  })
  return (text) => {
    const known = results.get(text)
    if (known !== undefined) return known
    // Of the path of a URL, which is part of a longer text, and so are the parts of the result.
    const own = unsharedText(text)
    const result = compute(own)
    results.set(own, result)
    return result
  }
}

/** So many bytes an entry may take on average. A key of a bucket has up to 1 KB, a URL several. */
const BYTES_EACH = 1024

/** Bounds of an LRUCache, in entries and in bytes. @param sizeOf Bytes that a value takes in memory with its key, about. */
export function memoryBounds<V>(maxEntries: number, sizeOf: (value: V) => number) {
  return { max: maxEntries, maxSize: maxEntries * BYTES_EACH, sizeCalculation: sizeOf }
}

/**
 * A copy of a text that holds no other text in memory. In V8 a part of a text, of 13 characters or more, keeps the whole of
 * it: the id out of a URL with a query of 20 KB keeps those 20 KB for as long as the id is remembered.
 *
 * @see https://bugs.chromium.org/p/v8/issues/detail?id=2869
 */
export function unsharedText(text: string): string {
  // Both directions of JSON are exact for every string, lone surrogates included.
  const copy: unknown = JSON.parse(JSON.stringify(text))
  return String(copy)
}
