import { LRUCache } from 'lru-cache'
import { judgeAge } from '../../domain/caching/http-caching.ts'
import type { AskedRef, AskedRemote, ObjectRef, RemoteRef } from '../../domain/identity/image-id.ts'
import { isResourceId, isVersionId, resourceId } from '../../domain/identity/image-id.ts'
import { ChangedError, OriginalError } from '../../errors.ts'
import type { DeletionGuard } from '../deletion/guard.ts'
import type { HashName, MadeRendition, RenditionShelf, Spooled } from '../ports/cache.ts'
import type { ChangingSource, Located, OriginalSource, Version } from '../ports/originals.ts'
import type { ObjectSource, OpenObject } from '../ports/store.ts'
import { type Background, createBackground } from '../tools/background.ts'
import { createCoalescer } from '../tools/coalesce.ts'
import type { LeftWork } from '../tools/left-work.ts'
import { memoryBounds } from '../tools/memoize.ts'
import { createResults, isOutage } from './resolve-results.ts'

/** The current version of an original. */
export interface Resolved extends Located {
  /** Absent: an upload, which never changes. */
  readonly version?: Version
  /** Whether an event since then has said that the original has changed. */
  isOutdated(): boolean
}

/** Finds the current version of an original, and its bytes by the id of that version. */
export interface Resolver {
  /**
   * A fresh result comes from memory. A stale one comes from memory while its source is asked in the background
   * (stale-while-revalidate). An older one is used only if the source fails (stale-if-error).
   * @throws LimitError, OriginalError, RemoteError, RequestError, UnavailableError
   */
  resolve(ref: AskedRef, signal: AbortSignal): Promise<Resolved>
  /** Whether memory has a version of it. */
  knows(ref: ObjectRef | RemoteRef): boolean
  /** The last result is no longer true: the next `resolve` waits for the source. */
  expire(ref: AskedRef): void
  /**
   * Runs `work` on the current version. If the original has changed meanwhile, or an event says so, `work` runs again on the next
   * version: a request that has waited gets no older picture than a new one.
   */
  use<T>(ref: AskedRef, signal: AbortSignal, work: (id: string, version?: Version) => Promise<T>): Promise<T>
  /** @param id Of an upload, or of a version that was resolved a short time ago. */
  locate(id: string): OriginalAccess
  readonly renditions: RenditionShelf
  /** @param ids Of resources; others are ignored. */
  forget(ids: ReadonlySet<string>): void
  /** Ends background work. */
  stop(): Promise<void>
}

/** The methods of `OriginalSource` for one original. */
export interface OriginalAccess {
  held(): ObjectSource | undefined
  open(signal: AbortSignal): Promise<OpenObject>
  absence(signal: AbortSignal): Promise<OriginalError>
  sizeBytes(signal: AbortSignal): Promise<number | undefined>
  hashes(): readonly HashName[]
  isGenuine(spooled: Spooled): boolean
  readonly sharesRenditions: boolean
  findRendition(file: string, signal: AbortSignal): Promise<Buffer | undefined>
  keepRendition(file: string, made: MadeRendition): void
}

export interface OriginalSources<O extends Version, H extends Version> {
  readonly uploads: OriginalSource<Located, Located>
  readonly buckets: ChangingSource<ObjectRef, O>
  readonly hosts: ChangingSource<AskedRemote, H>
}

export interface ResolverOptions {
  /** Completes the fetches that their requests have left. */
  readonly leftFetches: LeftWork
  readonly guard: DeletionGuard
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Maximum number of entries of each table in memory. */
  readonly maxRemembered: number
}

/**
 * How often a request reads an original that changes during the work. After them, an original that could not be read is a 503;
 * one that was read is served as it was then.
 */
export const CHANGE_ATTEMPTS = 3

export function createResolver<O extends Version, H extends Version>(
  { uploads, buckets, hosts }: OriginalSources<O, H>,
  options: ResolverOptions,
): Resolver {
  const { guard } = options
  const background = createBackground()
  const objects = createRevalidation(buckets, { ...options, background })
  const remotes = createRevalidation(hosts, { ...options, background })

  async function resolve(ref: AskedRef, signal: AbortSignal): Promise<Resolved> {
    if (ref.kind === 'image') return { ...(await uploads.resolve(ref, undefined, signal)), isOutdated: () => false }
    const reading = guard.begin(resourceId(ref))
    const version = await (ref.kind === 'object' ? objects.current(ref, signal) : remotes.current(ref, signal))
    return { id: version.id, version, isOutdated: () => reading.isInvalidated }
  }

  function expire(ref: AskedRef): void {
    if (ref.kind === 'object') objects.expire(ref)
    else if (ref.kind === 'remote') remotes.expire(ref)
  }

  function locate(id: string): OriginalAccess {
    if (!isVersionId(id)) return accessTo(uploads, { id })
    return objects.find(id) ?? remotes.find(id) ?? NO_ACCESS
  }

  return {
    resolve,
    knows: (ref) => (ref.kind === 'object' ? objects : remotes).knows(resourceId(ref)),
    expire,
    async use<T>(ref: AskedRef, signal: AbortSignal, work: (id: string, version?: Version) => Promise<T>): Promise<T> {
      let done: { readonly id: string; readonly value: T } | undefined
      for (let round = 1; ; round += 1) {
        const { id, version, isOutdated } = await resolve(ref, signal)
        // The event was about the version that was read.
        if (done?.id === id) return done.value
        try {
          const value = await work(id, version)
          if (round === CHANGE_ATTEMPTS || !isOutdated()) return value
          done = { id, value }
        } catch (error) {
          if (!(error instanceof ChangedError) || round === CHANGE_ATTEMPTS) throw error
          expire(ref)
        }
      }
    },
    locate,
    renditions: {
      find: async (id, file, signal) => await locate(id).findRendition(file, signal),
      keep: (id, file, made) => locate(id).keepRendition(file, made),
    },
    forget(ids) {
      objects.forget(ids)
      remotes.forget(ids)
    },
    async stop() {
      await background.stop()
      await Promise.all([buckets.stop(), hosts.stop()])
    },
  }
}

function accessTo<L extends Located>(source: OriginalSource<never, L>, located: L): OriginalAccess {
  return {
    held: () => source.held?.(located),
    open: (signal) => source.open(located, signal),
    absence: async (signal) => (await source.absence?.(located, signal)) ?? notFound(),
    sizeBytes: (signal) => source.sizeBytes(located, signal),
    hashes: () => source.hashes(located),
    isGenuine: (spooled) => source.isGenuine(located, spooled),
    sharesRenditions: source.sharesRenditions ?? false,
    findRendition: async (file, signal) => await source.findRendition?.(located, file, signal),
    keepRendition: (file, made) => source.keepRendition?.(located, file, made),
  }
}

function notFound(): OriginalError {
  return new OriginalError('original_not_found', 'Image not found')
}

/** Access to a version that is no longer in memory: the request resolves its original again. */
const NO_ACCESS: OriginalAccess = {
  held: () => undefined,
  open: () => Promise.reject(new ChangedError()),
  absence: async () => notFound(),
  sizeBytes: async () => undefined,
  hashes: () => [],
  isGenuine: () => false,
  sharesRenditions: false,
  findRendition: async () => undefined,
  keepRendition() {},
}

/** The results of one source: answers from memory, and asks the source again in time. */
function createRevalidation<R extends ObjectRef | AskedRemote, V extends Version>(
  source: ChangingSource<R, V>,
  options: ResolverOptions & { readonly background: Background },
) {
  const { guard, now, maxRemembered, background } = options
  const bounds = memoryBounds(maxRemembered, (version: V) => source.memoryBytes(version))
  const results = createResults(new LRUCache<string, V>(bounds), options)
  // By id. A version that is being rendered was located just now.
  const located = new LRUCache<string, V>(bounds)
  const flights = createCoalescer<V>(undefined, options.leftFetches)
  const recalls = createCoalescer<V | undefined>()

  async function revalidated(resource: string, ref: R, signal: AbortSignal): Promise<V> {
    const last = results.last(resource) ?? (await recall(resource, ref, signal))
    const age = last ? judgeAge((now() - last.checkedAt) / 1000, last.freshness) : 'expired'
    if (last && age === 'fresh') return last
    const failure = results.failure(resource)
    if (last && age === 'stale' && !failure) {
      // A failure is remembered for the requests that follow.
      const settled = () => {}
      background.track(ask(resource, ref, background.signal).then(settled, settled))
      return last
    }
    try {
      if (failure) throw failure
      if (!last) source.admit?.(ref)
      return await ask(resource, ref, signal)
    } catch (error) {
      if (last && age !== 'expired' && isOutage(error)) return last
      throw error
    }
  }

  async function recall(resource: string, ref: R, signal: AbortSignal): Promise<V | undefined> {
    if (results.isKnown(resource)) return undefined
    const { value } = await recalls.run(resource, (within) => source.recall(ref, within), signal)
    if (value) results.recalled(resource, value)
    return results.last(resource)
  }

  async function ask(resource: string, ref: R, signal: AbortSignal): Promise<V> {
    // A request after an invalidation does not join a flight from before it.
    const flight = `${resource} ${results.generation(resource)}`
    return (await flights.run(flight, (...within) => askOnce(resource, ref, ...within), signal)).value
  }

  async function askOnce(resource: string, ref: R, signal: AbortSignal, begun: () => void): Promise<V> {
    const work = guard.begin(resource)
    const generation = results.generation(resource)
    const isCurrent = () => !work.isInvalidated && results.generation(resource) === generation
    try {
      const version = await source.resolve(ref, results.last(resource), signal, begun)
      if (isCurrent()) results.succeeded(resource, version)
      return version
    } catch (error) {
      if (isCurrent()) results.failed(resource, error)
      throw error
    }
  }

  return {
    async current(ref: R, signal: AbortSignal): Promise<Version> {
      source.assertServed(ref)
      const version = await revalidated(resourceId(ref), ref, signal)
      located.set(version.id, version)
      source.used?.(version)
      return version
    },
    knows: (resource: string) => results.last(resource) !== undefined,
    expire: (ref: R) => results.expire(resourceId(ref)),
    find(id: string): OriginalAccess | undefined {
      const version = located.get(id)
      return version && accessTo(source, version)
    },
    forget(ids: ReadonlySet<string>) {
      results.forget([...ids].filter(isResourceId))
      source.forget?.(ids)
    },
  }
}
