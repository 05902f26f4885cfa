import { LRUCache } from 'lru-cache'
import { formatAlias, parseAlias } from '../../domain/identity/image-id.ts'
import { aliasKey } from '../../domain/stored/store-layout.ts'
import type { ObjectStore } from '../ports/store.ts'
import { createCoalescer } from '../tools/coalesce.ts'
import { entryBound } from '../tools/memoize.ts'
import { putBytes, readText } from '../tools/small-object.ts'

/** Images that are also named by the SHA-1 of their bytes, as in Reticulum. */
export interface AliasService {
  /**
   * The id of the image, whether it still exists or not.
   * @param sha1 40 lower-case hex digits.
   * @returns undefined if there is no alias for it.
   * @throws UnavailableError
   */
  find(sha1: string, signal: AbortSignal): Promise<string | undefined>
  /**
   * Durable when it returns. An alias never changes, as colliding files with one SHA-1 can be made.
   * @returns `exists` if there is an alias already, even for another image.
   * @throws UnavailableError
   */
  add(sha1: string, id: string, signal: AbortSignal): Promise<'created' | 'exists'>
}

const MAX_ABSENCES = 10_000
/** As for originals: an import on another machine is noticed after this time. */
const ABSENCE_MS = 1_000

/** @param maxRemembered Maximum entries of each table in memory. */
export function createAliasService(store: ObjectStore, maxRemembered: number): AliasService {
  const flights = createCoalescer<string | undefined>()
  const ids = new LRUCache<string, string>(entryBound(maxRemembered))
  const absences = new LRUCache<string, true>({ ...entryBound(Math.min(maxRemembered, MAX_ABSENCES)), ttl: ABSENCE_MS })

  async function read(sha1: string, signal: AbortSignal): Promise<string | undefined> {
    const id = await readAlias(store, sha1, signal)
    if (id === undefined) absences.set(sha1, true)
    else ids.set(sha1, id)
    return id
  }

  return {
    async find(sha1, signal) {
      const known = ids.get(sha1)
      if (known !== undefined || absences.has(sha1)) return known
      return (await flights.run(sha1, (within) => read(sha1, within), signal)).value
    },
    async add(sha1, id, signal) {
      const alias = { key: aliasKey(sha1), bytes: Buffer.from(formatAlias(id)), contentType: 'text/plain' }
      const outcome = await putBytes(store, alias, signal)
      absences.delete(sha1)
      if (outcome === 'created' || (await readAlias(store, sha1, signal)) !== undefined) return outcome
      // The stored object is not a valid alias.
      return await putBytes(store, { ...alias, overwrite: true }, signal)
    },
  }
}

/** Reads an alias from the store. @returns undefined if there is none. */
export async function readAlias(store: ObjectStore, sha1: string, signal: AbortSignal): Promise<string | undefined> {
  const text = await readText(store, aliasKey(sha1), signal)
  return text === undefined ? undefined : parseAlias(text)
}
