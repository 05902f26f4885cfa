import { createRandom } from '../pictures/seeded-random.ts'

const DAY_MS = 86_400_000
/** Popularity of a picture falls to a tenth within this time (Facebook, SOSP '13). */
const DECAY_MS = 7 * DAY_MS
/** Pictures that were uploaded before the trace begins, in days: older ones have hardly any requests left. */
export const HISTORY_DAYS = 28
/** Sizes per original: 4 at Facebook, 11 at Flickr. */
const SIZES_PER_ORIGINAL = [4, 11] as const
/** Bytes of a rendition of a photograph by its width: from 160 to 2048 pixels, as `npm run bench -- render` measures them. */
const RENDITION_BYTES = [6e3, 11e3, 17e3, 24e3, 33e3, 48e3, 66e3, 90e3, 130e3, 190e3, 290e3]
/** Bytes of the reduced copy that a node keeps to render further sizes. */
const SOURCE_BYTES = 220e3
/** Files take whole blocks on the disk. */
const BLOCK_BYTES = 4096
/** Numbers up to here are exact, so that a time and an index share one. */
const INDEX_LIMIT = 2 ** 22

export interface TraceOptions {
  readonly seed: number
  readonly requests: number
  readonly originals: number
  readonly days: number
  /** Exponent of Zipf's law for the popularity of originals. */
  readonly zipf: number
}

/** Requests for renditions in their order. An object is a rendition or the source of an original's renditions. */
export interface Trace {
  /** Disk usage by object. */
  readonly bytes: Float64Array
  /** The source of each object's original. */
  readonly source: Int32Array
  /** By request: the object, and the time since the beginning, ms. */
  readonly objects: Int32Array
  readonly times: Float64Array
  /** Disk usage of all objects that are requested, sources included. */
  readonly totalBytes: number
}

/**
 * The requests of a node for pictures that are uploaded at a constant rate. An original's popularity is Zipf's, and decays to a
 * tenth within a week; each has 4 to 11 sizes, of which the first are requested more.
 */
export function createTrace({ seed, requests, originals, days, zipf }: TraceOptions): Trace {
  if (requests > INDEX_LIMIT) throw new Error(`requests: ${requests} should be at most ${INDEX_LIMIT}`)
  const draw = uniform(seed)
  const catalog = createCatalog(draw, originals)
  const endMs = days * DAY_MS
  const uploadedAt = Float64Array.from(
    { length: originals },
    () => -HISTORY_DAYS * DAY_MS + draw() * (endMs + HISTORY_DAYS * DAY_MS),
  )
  const ranks = shuffled(draw, originals)
  const cumulative = new Float64Array(originals)
  let total = 0
  for (let original = 0; original < originals; original += 1) {
    const [younger, older] = decayAt(uploadedAt[original] ?? 0, endMs)
    total += ((ranks[original] ?? 0) + 1) ** -zipf * (younger - older)
    cumulative[original] = total
  }

  const unordered = new Int32Array(requests)
  const order = new Float64Array(requests)
  for (let request = 0; request < requests; request += 1) {
    const original = search(cumulative, draw() * total)
    const uploaded = uploadedAt[original] ?? 0
    const [younger, older] = decayAt(uploaded, endMs)
    const ageMs = -Math.log10(younger - draw() * (younger - older)) * DECAY_MS
    const time = Math.min(endMs, Math.max(0, Math.floor(uploaded + ageMs)))
    unordered[request] = catalog.rendition(original, draw())
    order[request] = time * INDEX_LIMIT + request
  }
  order.sort()
  const objects = Int32Array.from(order, (packed) => unordered[packed % INDEX_LIMIT] ?? 0)
  const times = Float64Array.from(order, (packed) => Math.floor(packed / INDEX_LIMIT))
  return { ...catalog.sizes, objects, times, totalBytes: usedBytes(catalog.sizes, objects) }
}

interface Catalog {
  readonly sizes: Pick<Trace, 'bytes' | 'source'>
  /** The object of a rendition. @param chance 0 to 1: the n-th size is requested with a weight of 1/n. */
  rendition(original: number, chance: number): number
}

function createCatalog(draw: () => number, originals: number): Catalog {
  const [fewest, most] = SIZES_PER_ORIGINAL
  const first = new Int32Array(originals + 1)
  for (let original = 0; original < originals; original += 1) {
    // One more: the source is the last object of its original.
    first[original + 1] = (first[original] ?? 0) + fewest + Math.floor(draw() * (most - fewest + 1)) + 1
  }
  const count = first[originals] ?? 0
  const bytes = new Float64Array(count)
  const source = new Int32Array(count)
  for (let original = 0; original < originals; original += 1) {
    const [begin, end] = [first[original] ?? 0, first[original + 1] ?? 0]
    // Detail differs between photographs: a factor of 4 between extremes.
    const detail = 0.5 + 1.5 * draw()
    source.fill(end - 1, begin, end)
    for (let object = begin; object < end - 1; object += 1) {
      const typical = RENDITION_BYTES[Math.floor(draw() * RENDITION_BYTES.length)] ?? 0
      bytes[object] = onDisk(typical * detail)
    }
    bytes[end - 1] = onDisk(SOURCE_BYTES * detail)
  }
  return {
    sizes: { bytes, source },
    rendition(original, chance) {
      const begin = first[original] ?? 0
      const sizes = (first[original + 1] ?? 0) - begin - 1
      // The inverse of the logarithm, which the sum of 1/n approaches.
      return begin + Math.min(sizes - 1, Math.floor((sizes + 1) ** chance) - 1)
    },
  }
}

function onDisk(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES
}

/** Share of an original's popularity that is left at the beginning and at the end of its part of the trace. */
function decayAt(uploadedAtMs: number, endMs: number): readonly [number, number] {
  const left = (ageMs: number) => 10 ** (-ageMs / DECAY_MS)
  return [left(Math.max(0, -uploadedAtMs)), left(endMs - uploadedAtMs)]
}

/** Disk usage of all objects that are requested, and of their sources. */
export function usedBytes({ bytes, source }: Pick<Trace, 'bytes' | 'source'>, objects: Int32Array): number {
  const used = new Uint8Array(bytes.length)
  for (const object of objects) {
    used[object] = 1
    used[source[object] ?? 0] = 1
  }
  return bytes.reduce((sum, size, object) => sum + size * (used[object] ?? 0), 0)
}

/** @returns Draws numbers from 0 to 1 (exclusive). */
function uniform(seed: number): () => number {
  const random = createRandom(seed)
  return () => random() / 2 ** 32
}

function shuffled(draw: () => number, count: number): Int32Array {
  const numbers = Int32Array.from({ length: count }, (_, index) => index)
  for (let last = count - 1; last > 0; last -= 1) {
    const other = Math.floor(draw() * (last + 1))
    const number = numbers[last] ?? 0
    numbers[last] = numbers[other] ?? 0
    numbers[other] = number
  }
  return numbers
}

/** The first index whose cumulative weight exceeds a value. */
function search(cumulative: Float64Array, value: number): number {
  let [low, high] = [0, cumulative.length - 1]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((cumulative[middle] ?? 0) > value) high = middle
    else low = middle + 1
  }
  return low
}
