import { LRUCache } from 'lru-cache'
import type { Freshness } from '../../domain/caching/picture-caching.ts'
import { isVersionId, resourceId } from '../../domain/identity/image-id.ts'
import type { AskedRef, AskedRemote, ObjectRef, RemoteRef } from '../../domain/identity/original-ref.ts'
import { UnavailableError } from '../../errors.ts'
import type { DeletionGuard } from '../deletion/guard.ts'
import type { OriginalHolder } from '../ports/originals.ts'
import { memoryBounds } from '../tools/memoize.ts'
import { type Answer, createFreshAnswers, type FreshAnswersOptions } from './fresh-answers.ts'

/** One version of an original that may change: of what is said of it, its name never means anything else. */
export interface Version extends Answer {
  /** By `versionId` or `transientId`. */
  readonly id: string
  /** By `resourceId`. */
  readonly resource: string
  readonly sizeBytes: number
  /** When it was made, if whoever keeps it says so. */
  readonly modifiedAt?: Date
  readonly checkedAt: number
  readonly freshness: Freshness
  /** It was asked for by the name of this very version. */
  readonly isFixed: boolean
}

/** Originals of one kind that may change, as the versions that count now. */
export interface Versions<R extends ObjectRef | RemoteRef> extends OriginalHolder {
  /** @throws LimitError, OriginalError, RemoteError, RequestError, UnavailableError */
  current(ref: R, signal: AbortSignal): Promise<Version>
  /** What was told of it is no longer true. */
  expire(ref: R): void
  forget(ids: ReadonlySet<string>): void
  /** Whether it is a version of one of these originals. */
  knows(id: string): boolean
  stop(): Promise<void>
}

/** What an original is at this moment. */
export interface Resolved {
  /** Of the upload, or of the version of an object or a remote image. */
  readonly id: string
  /** Absent: an upload, which never changes. */
  readonly version?: Version
  /** Whether this node was told since that the original has changed. */
  isOutdated(): boolean
}

/** Finds the version of an original that counts. */
export interface VersionService {
  /** @throws LimitError, OriginalError, RemoteError, RequestError, UnavailableError */
  resolve(ref: AskedRef, signal: AbortSignal): Promise<Resolved>
  /** The version that was resolved last is no longer there: the next `resolve` asks again. */
  expire(ref: AskedRef): void
  /**
   * Runs `work` on the id of an upload, or on the version that counts now. If that turns out to have changed meanwhile, or
   * this node is told so, once more on the next: who has waited gets no older picture than who comes now.
   */
  use<T>(ref: AskedRef, signal: AbortSignal, work: (id: string, version?: Version) => Promise<T>): Promise<T>
}

/** The version that was to be read is no longer there. */
export class ChangedError extends UnavailableError {
  constructor() {
    super('store_unavailable', 'The original is being replaced; try again')
  }
}

/**
 * Of an original that changes faster than it can be read, the answer is a 503. One that can be read, but is told to change
 * with every reading, is answered as it was read last.
 */
const ROUNDS = 3

interface VersionHolders {
  readonly objects: Versions<ObjectRef>
  readonly remotes: Versions<AskedRemote>
}

export interface VersionServiceOptions extends VersionHolders {
  readonly guard: DeletionGuard
}

export function createVersionService({ objects, remotes, guard }: VersionServiceOptions): VersionService {
  async function current(ref: ObjectRef | AskedRemote, signal: AbortSignal): Promise<Version> {
    if (ref.kind === 'object') return await objects.current(ref, signal)
    return await remotes.current(ref, signal)
  }

  async function resolve(ref: AskedRef, signal: AbortSignal): Promise<Resolved> {
    if (ref.kind === 'image') return { id: ref.id, isOutdated: () => false }
    const reading = guard.begin(resourceId(ref))
    const version = await current(ref, signal)
    return { id: version.id, version, isOutdated: () => reading.isInvalidated }
  }

  function expire(ref: AskedRef): void {
    if (ref.kind === 'object') objects.expire(ref)
    else if (ref.kind === 'remote') remotes.expire(ref)
  }

  return {
    resolve,
    expire,
    async use<T>(ref: AskedRef, signal: AbortSignal, work: (id: string, version?: Version) => Promise<T>): Promise<T> {
      if (ref.kind === 'image') return await work(ref.id)
      let done: { readonly id: string; readonly value: T } | undefined
      for (let round = 1; ; round += 1) {
        const resolved = await resolve(ref, signal)
        const { id, version } = resolved
        // What was told was of the very version that was read, or of one that has come and gone.
        if (done?.id === id) return done.value
        try {
          const value = await work(id, version)
          if (round === ROUNDS || !resolved.isOutdated()) return value
          done = { id, value }
        } catch (error) {
          if (!(error instanceof ChangedError) || round === ROUNDS) throw error
          expire(ref)
        }
      }
    },
  }
}

/** Who has the bytes of an original, by its id. */
export function createHolders(
  holders: VersionHolders & { readonly uploads: OriginalHolder },
): (id: string) => OriginalHolder {
  const { uploads, objects, remotes } = holders
  return (id) => {
    if (!isVersionId(id)) return uploads
    return objects.knows(id) ? objects : remotes
  }
}

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
