import type { Shortage } from './sweep-plan.ts'

/**
 * Times since the last access share out over this many buckets, in 1 MiB altogether. The younger, the finer: of 30 days they
 * are a fifth of a second wide at ten seconds, 15 s at a day and 80 s at the end. A small cache of which many sizes are asked
 * turns over within a minute, and then the order within that minute counts.
 */
const BUCKETS = 65_536

/** Decides file by file in the second pass over the tree. */
export interface CutOff {
  /** What was last used less long ago stays. */
  readonly ageMs: number
  /** Whether a file of this age goes: older than the cut-off, or as old and there is not room enough yet. */
  removes(ageMs: number): boolean
  /** To be told what each removal of a file of this age has really freed. */
  freed(ageMs: number, bytes: number, inodes: number): void
}

/** How many bytes and inodes were last used how long ago: what millions of files come to, in constant memory. */
export interface AgeHistogram {
  add(ageMs: number, bytes: number, inodes: number): void
  /** The age from which files go so that `shortage` is met, oldest access first. */
  cutOff(shortage: Shortage): CutOff
}

/**
 * Renditions and originals stand in the same order, by access alone. An original costs a fetch to bring back and a
 * rendition a render, which is about as dear; but an original takes a hundred times the room and is read for new sizes only,
 * so that sparing originals would push out what visitors look at.
 *
 * @param maxAgeMs Files older than this share the last bucket.
 */
export function createAgeHistogram(maxAgeMs: number): AgeHistogram {
  const bytesByAge = new Float64Array(BUCKETS)
  const inodesByAge = new Float64Array(BUCKETS)
  const bucketOf = (ageMs: number): number =>
    Math.min(BUCKETS - 1, Math.floor(Math.sqrt(Math.max(0, ageMs) / maxAgeMs) * BUCKETS))

  return {
    add(ageMs, bytes, inodes) {
      const bucket = bucketOf(ageMs)
      bytesByAge[bucket] = (bytesByAge[bucket] ?? 0) + bytes
      inodesByAge[bucket] = (inodesByAge[bucket] ?? 0) + inodes
    },
    cutOff(shortage) {
      let { bytes, inodes } = shortage
      let edge = BUCKETS
      while (bytes > 0 || inodes > 0) {
        edge -= 1
        if (edge < 0) break
        const bucketBytes = bytesByAge[edge] ?? 0
        const bucketInodes = inodesByAge[edge] ?? 0
        // What the last bucket has to give is kept: a cache that was copied in one go may have all of its files in one.
        if (bytes <= bucketBytes && inodes <= bucketInodes) break
        bytes -= bucketBytes
        inodes -= bucketInodes
      }
      return {
        ageMs: (Math.max(0, edge) / BUCKETS) ** 2 * maxAgeMs,
        removes: (ageMs) => bucketOf(ageMs) > edge || (bucketOf(ageMs) === edge && (bytes > 0 || inodes > 0)),
        freed(ageMs, freedBytes, freedInodes) {
          if (bucketOf(ageMs) !== edge) return
          bytes -= freedBytes
          inodes -= freedInodes
        },
      }
    },
  }
}
