import { LRUCache } from 'lru-cache'
import { isVersionId } from '../../domain/identity/image-id.ts'
import type { Size } from '../../domain/picture/original-facts.ts'
import { entryBound } from '../tools/memoize.ts'

/**
 * Decides when the mezzanines of an original are worth making: those of an upload always; those of an object or a remote image
 * with the second size by default, because a crawler views most pictures once.
 */
export interface MezzanineDemand {
  /**
   * Called when a size that a mezzanine would have served was rendered from the original.
   * @param size By `formatSpec`.
   * @param stored Size of the original.
   * @returns whether to make the mezzanines now.
   */
  isDue(id: string, size: string, stored: Size): boolean
  /** Drops the entries of these images. */
  forget(ids: ReadonlySet<string>): void
}

export interface MezzanineDemandOptions {
  /** The size of an object or a remote image with which its mezzanines are made. */
  readonly mezzaninesAt: 'first' | 'second'
  /** Maximum number of entries of each table in memory. */
  readonly maxRemembered: number
}

/** Making the mezzanine of a smaller object needs another decoding, which costs more than it saves for all of the usual sizes. */
const LEAST_LATER_PIXELS = 1_000_000
/** An evicted original gets its mezzanines a size later. */
const MAX_FIRST_SIZES = 100_000

export function createMezzanineDemand({ mezzaninesAt, maxRemembered }: MezzanineDemandOptions): MezzanineDemand {
  const firstSizes = new LRUCache<string, string>(entryBound(Math.min(maxRemembered, MAX_FIRST_SIZES)))
  return {
    isDue(id, size, { width, height }) {
      if (isVersionId(id) && width * height < LEAST_LATER_PIXELS) return false
      if (mezzaninesAt === 'first' || !isVersionId(id)) return true
      const first = firstSizes.get(id)
      if (first === undefined) firstSizes.set(id, size)
      return first !== undefined && first !== size
    },
    forget(ids) {
      for (const id of ids) firstSizes.delete(id)
    },
  }
}
