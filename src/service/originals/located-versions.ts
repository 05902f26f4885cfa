import { LRUCache } from 'lru-cache'
import type { ObjectRef, RemoteRef } from '../../domain/identity/original-ref.ts'
import { resourceId } from '../../domain/identity/version-id.ts'
import { memoryBounds } from '../tools/memory-bounds.ts'
import { createFreshAnswers, type FreshAnswersOptions } from './fresh-answers.ts'
import type { Version, Versions } from './versions.ts'

/** Who knows which version of an original counts, and where it is. */
export interface VersionInformant<R, V> {
  /** Throws if this caller may not ask for what nothing is known of yet. It is called before each such `ask`, and before joining one. */
  admit?(ref: R): void
  /** @param known The last answer, if there is one. */
  ask(ref: R, known: V | undefined, signal: AbortSignal): Promise<V>
  /** An answer from before this process, or of another node. */
  recall(ref: R, signal: AbortSignal): Promise<V | undefined>
}

/** The part of `Versions` that is the same for all kinds: asking in time, and finding by its name what was answered. */
export interface LocatedVersions<R extends ObjectRef | RemoteRef, V extends Version>
  extends Pick<Versions<R>, 'current' | 'expire' | 'forget' | 'knows' | 'stop'> {
  current(ref: R, signal: AbortSignal): Promise<V>
  /** @param id By `versionId` or `transientId`. */
  find(id: string): V | undefined
}

export function createLocatedVersions<R extends ObjectRef | RemoteRef, V extends Version>(
  informant: VersionInformant<R, V>,
  options: FreshAnswersOptions<V>,
): LocatedVersions<R, V> {
  const answers = createFreshAnswers<V>(options)
  // One that is being rendered has been looked up just now.
  const located = new LRUCache<string, V>(memoryBounds(options.maxRemembered, options.sizeOf))
  return {
    async current(ref, signal) {
      const from = {
        admit: () => informant.admit?.(ref),
        ask: (known: V | undefined, within: AbortSignal) => informant.ask(ref, known, within),
        recall: (within: AbortSignal) => informant.recall(ref, within),
      }
      const version = await answers.get(resourceId(ref), from, signal)
      // It may have been dropped from here, but not from there.
      located.set(version.id, version)
      return version
    },
    expire: (ref) => answers.expire(resourceId(ref)),
    forget: answers.forget,
    knows: (id) => located.has(id),
    stop: answers.stop,
    find: (id) => located.get(id),
  }
}
