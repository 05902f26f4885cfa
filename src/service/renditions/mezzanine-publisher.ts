import { isVersionId } from '../../domain/identity/image-id.ts'
import { type MezzanineLevel, mezzanineFormat, worthKeeping } from '../../domain/picture/mezzanine.ts'
import type { OriginalFacts } from '../../domain/picture/original-facts.ts'
import { contentTypeOf } from '../../domain/spec/image-format.ts'
import { sealMezzanine } from '../../domain/stored/mezzanine-file.ts'
import { mezzanineKey } from '../../domain/stored/store-layout.ts'
import type { GuardedWork } from '../deletion/guard.ts'
import type { Resolver } from '../originals/resolve.ts'
import type { Reduced } from '../ports/engine.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectStore } from '../ports/store.ts'
import { createSharing } from '../tools/small-object.ts'
import { keepMezzanine, MAX_MEZZANINE_BYTES, type MezzanineShelf } from './mezzanine-shelf.ts'

/** The result of reducing an original to all of its levels that may be worth keeping. */
export interface MadeMezzanines {
  readonly id: string
  readonly facts: OriginalFacts
  /** Of the original. */
  readonly sizeBytes: number
  readonly reduced: readonly Reduced[]
}

interface WantedMezzanines extends MadeMezzanines {
  /** The levels that the engine was asked for. */
  readonly wanted: readonly MezzanineLevel[]
}

export interface MezzaninePublisherOptions {
  readonly store: ObjectStore
  readonly versions: Pick<Resolver, 'locate'>
  readonly shelf: MezzanineShelf
  readonly meter: Pick<Meter, 'trouble'>
  /** Some of them were not worth their bytes. */
  readonly onUnworthy: (id: string) => void
}

/** Publishes those that are worth their bytes, on this node and in the store for all nodes. */
export function createMezzaninePublisher({ store, versions, shelf, meter, onUnworthy }: MezzaninePublisherOptions) {
  const sharing = createSharing({
    store,
    meter,
    trouble: 'A mezzanine could not be written to the object store: other nodes will render their own',
  })

  async function publishOne(
    { id, facts }: MadeMezzanines,
    { level, bytes: picture }: Reduced,
    { work, signal }: { readonly work: GuardedWork; readonly signal: AbortSignal },
  ): Promise<void> {
    const bytes = sealMezzanine(picture, facts)
    await keepMezzanine(shelf, { id, level, bytes, facts }, work)
    const contentType = contentTypeOf(mezzanineFormat(facts))
    if (isShared(id))
      await sharing.share({ key: mezzanineKey(id, level), bytes, contentType, rebuildable: true }, signal)
  }

  return async (made: WantedMezzanines, work: GuardedWork, signal: AbortSignal): Promise<void> => {
    const { id, facts, sizeBytes, reduced, wanted } = made
    const worth = worthKeeping(facts, Math.min(sizeBytes, MAX_MEZZANINE_BYTES), reduced)
    if (worth.length < wanted.length) onUnworthy(id)
    // All of them have ended before the look at the original.
    const outcomes = await Promise.allSettled(worth.map((each) => publishOne(made, each, { work, signal })))
    // A deletion that ended during the writes has removed the original, but not these mezzanines.
    const isGone = isShared(id) && worth.length > 0 && (await versions.locate(id).sizeBytes(signal)) === undefined
    for (const { level } of isGone ? worth : []) await store.remove(mezzanineKey(id, level), signal)
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }
}

/** Mezzanines of a version stay on their node: nothing would remove them from the store after the version changed. */
export function isShared(id: string): boolean {
  return !isVersionId(id)
}
