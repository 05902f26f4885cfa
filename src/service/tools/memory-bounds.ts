/** So many bytes an entry may take on average. A key of a bucket has up to 1 KB, a URL several. */
const BYTES_EACH = 1024

/** Bounds of an LRUCache, in entries and in bytes. @param sizeOf Bytes that a value takes in memory with its key, about. */
export function memoryBounds<V>(maxEntries: number, sizeOf: (value: V) => number) {
  return { max: maxEntries, maxSize: maxEntries * BYTES_EACH, sizeCalculation: sizeOf }
}
