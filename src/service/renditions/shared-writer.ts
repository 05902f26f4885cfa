import { LRUCache } from 'lru-cache'
import pLimit from 'p-limit'
import { isVersionId } from '../../domain/identity/image-id.ts'
import { contentTypeOf, type OutputFormat } from '../../domain/spec/image-format.ts'
import { formatSpec, type Spec } from '../../domain/spec/spec.ts'
import { renditionFile } from '../../domain/stored/cache-layout.ts'
import { type SharingTerms, sealRendition, sharedRenditionKey } from '../../domain/stored/shared-rendition.ts'
import type { GuardedWork } from '../deletion/guard.ts'
import type { Resolver } from '../originals/resolve.ts'
import type { MadeRendition } from '../ports/cache.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectStore } from '../ports/store.ts'
import { createBackground } from '../tools/background.ts'
import { createSharing } from '../tools/small-object.ts'

export interface NamedRendition {
  readonly id: string
  readonly spec: Spec
  readonly as: OutputFormat
}

export interface SharedWriterOptions extends SharingTerms {
  readonly store: ObjectStore
  readonly versions: Pick<Resolver, 'locate'>
  readonly meter: Pick<Meter, 'trouble'>
  /** Milliseconds since 1970. */
  readonly now: () => number
}

/** The writing half of `SharedRenditions`; its methods are described there. */
export interface SharedWriter {
  keep(rendition: NamedRendition, made: MadeRendition, work: GuardedWork): void
  /** Removes what this node wrote of these images a short time ago. */
  forget(ids: ReadonlySet<string>): void
  readonly pending: number
  stop(): Promise<void>
}

/** Of one rendition. Larger ones are not shared. */
export const MAX_SHARED_BYTES = 16 * 2 ** 20
/** Writes that wait, and that run at once. Beyond them a rendition is not written. */
const MAX_WRITES = { waiting: 256, bytes: 64 * 2 ** 20, atOnce: 4 } as const
/** Time in which this node has heard of an invalidation from before a write, and the number of writes in it. */
const RECENT = { ttl: 60_000, max: 10_000 } as const
/** A shutdown takes 10 s at most. */
const STOP_MS = 3000
const UNWRITTEN = 'A rendition could not be written to the object store: other nodes will render it again'
const UNREMOVED = 'A rendition of a purged image could not be removed from the object store'

/** @param counters Are counted up. */
export function createSharedWriter(
  options: SharedWriterOptions,
  counters: { writes: number; drops: number },
): SharedWriter {
  const { store, versions, meter, now } = options
  const sharing = createSharing({ store, meter, trouble: UNWRITTEN })
  const background = createBackground()
  const turns = pLimit(MAX_WRITES.atOnce)
  /** Keys of the renditions that this node has written, by image. */
  const recent = new LRUCache<string, readonly string[]>(RECENT)
  const writing = new Set<Promise<void>>()
  let waitingBytes = 0

  async function write(
    { id, spec, as }: NamedRendition,
    { bytes, primed: isPrimed = false }: MadeRendition,
    work: GuardedWork,
  ): Promise<boolean> {
    const { signal } = background
    if (signal.aborted || work.isInvalidated) return false
    const file = renditionFile(formatSpec(spec), as)
    const key = sharedRenditionKey(id, file, options, now())
    const object = { key, bytes: sealRendition(file, { bytes, primed: isPrimed }), contentType: contentTypeOf(as) }
    recent.set(id, [...(recent.get(id) ?? []), key])
    if (!(await sharing.share({ ...object, rebuildable: true }, signal))) return false
    // A deletion that ended during the write has removed the original, but not this rendition. A version is never deleted.
    const isGone = !isVersionId(id) && (await versions.locate(id).sizeBytes(signal)) === undefined
    if (isGone || work.isInvalidated) await store.remove(key, signal)
    return true
  }

  async function writeInTurn(rendition: NamedRendition, made: MadeRendition, work: GuardedWork): Promise<void> {
    waitingBytes += made.bytes.length
    try {
      const isWritten = await turns(() => write(rendition, made, work))
      counters[isWritten ? 'writes' : 'drops'] += 1
    } catch (error) {
      counters.drops += 1
      if (!background.signal.aborted) meter.trouble(UNWRITTEN, error)
    } finally {
      waitingBytes -= made.bytes.length
    }
  }

  async function removeAll(keys: readonly string[]): Promise<void> {
    try {
      for (const key of keys) await store.remove(key, background.signal)
    } catch (error) {
      if (!background.signal.aborted) meter.trouble(UNREMOVED, error)
    }
  }

  return {
    keep(rendition, made, work) {
      const isFull = writing.size >= MAX_WRITES.waiting || waitingBytes + made.bytes.length > MAX_WRITES.bytes
      if (made.bytes.length > MAX_SHARED_BYTES || isFull || background.signal.aborted) {
        counters.drops += 1
        return
      }
      const written = writeInTurn(rendition, made, work).finally(() => writing.delete(written))
      writing.add(written)
      background.track(written)
    },
    forget(ids) {
      for (const id of ids) {
        const keys = recent.get(id)
        recent.delete(id)
        if (keys) background.track(removeAll(keys))
      }
    },
    get pending() {
      return background.pending
    },
    async stop() {
      const tooLate = Promise.withResolvers<void>()
      const timer = setTimeout(tooLate.resolve, STOP_MS)
      await Promise.race([Promise.all(writing), tooLate.promise])
      clearTimeout(timer)
      await background.stop()
    },
  }
}
