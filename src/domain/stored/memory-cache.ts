const PART = 1 / 16
const MOST_BYTES = 128 * 2 ** 20

/**
 * What the in-memory cache may take by default. Held originals and files on their way to the disk may take as much again
 * each, which in a container of 512 MB must leave room for the renderers.
 *
 * @param memoryBytes Of the machine, or what its container may have.
 */
export function defaultMemoryCache(memoryBytes: number): number {
  return Math.min(Math.floor(memoryBytes * PART), MOST_BYTES)
}
