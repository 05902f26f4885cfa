import { LRUCache } from 'lru-cache'
import { unsharedText } from '../../domain/text/unshared-text.ts'

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
