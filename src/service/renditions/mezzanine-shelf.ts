import { LRUCache } from 'lru-cache'
import type { MezzanineLevel } from '../../domain/picture/mezzanine.ts'
import type { OriginalFacts } from '../../domain/picture/original-facts.ts'
import { openMezzanine } from '../../domain/stored/mezzanine-file.ts'
import type { GuardedWork } from '../deletion/guard.ts'
import type { ImageCache } from '../ports/cache.ts'
import type { ObjectSource } from '../ports/store.ts'

/** A reduced picture of an original, upright and in sRGB, with the facts of the original. */
export interface Mezzanine {
  readonly level: MezzanineLevel
  readonly source: ObjectSource
  readonly facts: OriginalFacts
}

/** The mezzanines on this node: on its disk, or in memory while the disk is full or read-only. */
export interface MezzanineShelf {
  /**
   * Reads the disk once for an image, verifies what it finds, and remembers it.
   * @returns undefined if it is not on this node. A sweep may have deleted the file of a remembered mezzanine.
   */
  get(id: string, level: MezzanineLevel): Promise<Mezzanine | undefined>
  put(id: string, level: MezzanineLevel, sealed: Sealed): Promise<Mezzanine>
  /** Drops the entries of these images in memory. */
  forget(ids: ReadonlySet<string>): void
}

/** The file of a mezzanine, and the facts in it. */
export interface Sealed {
  readonly bytes: Buffer
  readonly facts: OriginalFacts
}

/** Puts a mezzanine on the shelf, unless its image was deleted meanwhile. @throws OriginalError `original_deleted` */
export async function keepMezzanine(shelf: MezzanineShelf, made: Made, work: GuardedWork): Promise<Mezzanine> {
  const { id, level, ...sealed } = made
  return await work.publish(
    () => shelf.put(id, level, sealed),
    () => shelf.forget(new Set([id])),
  )
}

interface Made extends Sealed {
  readonly id: string
  readonly level: MezzanineLevel
}

type Shelf = ReadonlyMap<MezzanineLevel, Mezzanine>

/** Most images have no mezzanine, so they share one object. */
const EMPTY: Shelf = new Map()
/** Limit of the mezzanines that the disk did not take. */
const MAX_LOOSE_BYTES = 16 * 1024 * 1024
const LOOSE_MS = 30_000

/** @param maxRemembered Images in memory. */
export function createMezzanineShelf(cache: ImageCache, maxRemembered: number): MezzanineShelf {
  const shelves = new LRUCache<string, Shelf>({ max: maxRemembered })
  const reading = new Map<string, Promise<Shelf>>()
  const loose = new LRUCache<string, ReadonlyMap<MezzanineLevel, Sealed>>({
    maxSize: MAX_LOOSE_BYTES,
    sizeCalculation: (held) => [...held.values()].reduce((sum, { bytes }) => sum + bytes.length, 1),
    ttl: LOOSE_MS,
  })

  async function shelfOf(id: string): Promise<Shelf> {
    const known = shelves.get(id) ?? (await reading.get(id))
    if (known) return known
    const began = readShelf(id)
    reading.set(id, began)
    try {
      const shelf = await began
      // It may have been forgotten meanwhile.
      if (reading.get(id) === began) shelves.set(id, shelf)
      return shelf
    } finally {
      if (reading.get(id) === began) reading.delete(id)
    }
  }

  /** The files are not synced, so a crash of the machine can leave a truncated file under the final name. */
  async function readShelf(id: string): Promise<Shelf> {
    const shelf = new Map<MezzanineLevel, Mezzanine>()
    for (const { level, path, bytes } of await cache.readMezzanines(id)) {
      const facts = openMezzanine(bytes)
      if (facts) shelf.set(level, { level, source: { path }, facts })
    }
    return shelf.size > 0 ? shelf : EMPTY
  }

  return {
    async get(id, level) {
      const onDisk = (await shelfOf(id)).get(level)
      if (onDisk) return onDisk
      const held = loose.get(id)?.get(level)
      return held && { level, source: { bytes: held.bytes }, facts: held.facts }
    },
    async put(id, level, sealed) {
      const { bytes, facts } = sealed
      await shelfOf(id)
      const path = await cache.publishMezzanine(id, level, bytes)
      if (path === undefined) loose.set(id, new Map(loose.get(id)).set(level, sealed))
      const mezzanine = { level, source: path === undefined ? { bytes } : { path }, facts }
      const shelf = shelves.get(id)
      if (path !== undefined && shelf) shelves.set(id, new Map(shelf).set(level, mezzanine))
      return mezzanine
    },
    forget(ids) {
      for (const id of ids) {
        shelves.delete(id)
        reading.delete(id)
        loose.delete(id)
      }
    },
  }
}
