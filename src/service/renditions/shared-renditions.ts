import { LRUCache } from 'lru-cache'
import { isVersionId } from '../../domain/identity/image-id.ts'
import { formatSpec, type Spec } from '../../domain/spec/spec.ts'
import { renditionFile } from '../../domain/stored/cache-layout.ts'
import {
  firstCurrentDay,
  openRendition,
  RENDITIONS_PREFIX,
  sharedRenditionFolders,
  sharedRenditionKey,
} from '../../domain/stored/shared-rendition.ts'
import { UnavailableError } from '../../errors.ts'
import type { GuardedWork } from '../deletion/guard.ts'
import type { Viewer } from '../load/admission.ts'
import type { WorkQueue } from '../load/work-queue.ts'
import type { MadeRendition } from '../ports/cache.ts'
import type { ObjectStore } from '../ports/store.ts'
import { readWhole } from '../tools/small-object.ts'
import { startTimeLimit, storeTooSlow } from '../tools/time-limit.ts'
import { createSharedWriter, MAX_SHARED_BYTES, type NamedRendition, type SharedWriterOptions } from './shared-writer.ts'

/**
 * Renditions in the store, for all nodes: those that cost much, and those that are rendered in advance. Others are not worth it, as
 * rendering from a mezzanine takes as long as a GET. Losing any of them costs one more render.
 *
 * A rendition of a deleted image is not served, because a reader looks for the original at the same time. After a purge, each node
 * that hears of it ignores the renditions of the image for as long as the purge or a late writer may need to remove them.
 */
export interface SharedRenditions {
  /**
   * Whether the store may have this rendition, and a look is worth its time.
   * @param costMs Of rendering it. Absent: unknown.
   */
  covers(rendition: CoveredRendition, costMs?: number): boolean
  /** @returns undefined as well if the store fails: the caller renders it. */
  find(rendition: NamedRendition, viewer: Viewer | undefined, signal: AbortSignal): Promise<MadeRendition | undefined>
  /** In the background; dropped if many are waiting. @param work Of the caller, from before it read the source. */
  keep(rendition: NamedRendition, made: MadeRendition, work: GuardedWork): void
  /** Removes the renditions of an image from the store, after its invalidation was announced. @throws UnavailableError */
  remove(id: string, signal: AbortSignal): Promise<void>
  /** Ignores what was shared of these images before now, and removes what this node wrote a short time ago. */
  forget(ids: ReadonlySet<string>): void
  /** Since the start. */
  readonly counters: SharingCounters
  /** Renditions that are being written or removed, or wait for it. */
  readonly pending: number
  /** Waits some seconds for the writes, cancels the others, and resolves when no work is in progress. */
  stop(): Promise<void>
}

export interface CoveredRendition {
  readonly id: string
  readonly spec: Spec
  /** It is rendered in advance. */
  readonly ahead?: boolean | undefined
}

export interface SharingCounters {
  /** Renditions found in the store. */
  readonly hits: number
  /** Looks at the store that found none. */
  readonly misses: number
  readonly writes: number
  /** Renditions that were not written: too many were waiting, or the store failed. */
  readonly drops: number
}

export interface SharedRenditionsOptions extends SharedWriterOptions {
  readonly fetchQueue: Pick<WorkQueue, 'run'>
  /** Renditions whose expected CPU time is above this are shared. Absent: none, as the store is not shared. */
  readonly overMs: number | undefined
  /** By `formatSpec`: sizes that are rendered in advance. */
  readonly primed: ReadonlySet<string>
}

/** Removes the renditions of periods that have ended, where no lifecycle rule does it. @throws UnavailableError */
export async function sweepSharedRenditions(
  store: Pick<ObjectStore, 'list' | 'remove'>,
  { keepDays, nowMs }: { readonly keepDays: number; readonly nowMs: number },
  signal: AbortSignal,
): Promise<void> {
  const current = firstCurrentDay(keepDays, nowMs)
  for await (const key of store.list(RENDITIONS_PREFIX, '', signal)) {
    if (key >= current) return
    await store.remove(key, signal)
  }
}

/** More than `sealRendition` adds. */
const SEAL_BYTES = 64
/** Then the rendition is made here. */
const LOOK_MS = 2000
/** After a failed look the store is left alone for this time. */
const PAUSE_MS = 5000
/** A purge has removed the renditions, and every writer has heard of it, within this time. */
const IGNORED_MS = 600_000
const MAX_IGNORED = 100_000
const UNREAD = 'Shared renditions could not be read from the object store: they are rendered again'

export function createSharedRenditions(options: SharedRenditionsOptions): SharedRenditions {
  const { store, versions, fetchQueue, meter, now, overMs, primed } = options
  const ignored = new LRUCache<string, true>({ max: MAX_IGNORED, ttl: IGNORED_MS })
  const counters = { hits: 0, misses: 0, writes: 0, drops: 0 }
  const writer = createSharedWriter(options, counters)
  let pausedUntil = -Infinity

  async function read({ id, spec, as }: NamedRendition, signal: AbortSignal): Promise<MadeRendition | undefined> {
    const file = renditionFile(formatSpec(spec), as)
    const limit = startTimeLimit(signal, LOOK_MS, storeTooSlow)
    try {
      // Both calls begin at once, so they take the time of one.
      const original = versions.locate(id).sizeBytes(limit.signal)
      original.catch(() => {})
      const object = await store.open(sharedRenditionKey(id, file, options, now()), limit.signal)
      const sealed = object && (await readWhole(object, MAX_SHARED_BYTES + SEAL_BYTES))
      if (sealed === undefined || (await original) === undefined) return undefined
      const found = openRendition(file, sealed)
      if (found === undefined) meter.trouble(`The object store returned a damaged rendition of image ${id}`, undefined)
      return found && { ...found, format: as }
    } finally {
      limit.end()
    }
  }

  return {
    covers({ id, spec, ahead = false }, costMs = 0) {
      if (overMs === undefined || !versions.locate(id).sharesRenditions) return false
      return ahead || costMs > overMs || primed.has(formatSpec(spec))
    },
    async find(rendition, viewer, signal) {
      if (ignored.has(rendition.id) || performance.now() < pausedUntil) return undefined
      try {
        const found = await fetchQueue.run(() => read(rendition, signal), signal, { viewer })
        counters[found ? 'hits' : 'misses'] += 1
        if (found) viewer?.found?.()
        return found
      } catch (error) {
        signal.throwIfAborted()
        if (!(error instanceof UnavailableError)) throw error
        if (error.code !== 'overloaded') {
          if (performance.now() >= pausedUntil) meter.trouble(UNREAD, error)
          pausedUntil = performance.now() + PAUSE_MS
        }
        return undefined
      }
    },
    keep: writer.keep,
    async remove(id, signal) {
      if (overMs === undefined || isVersionId(id)) return
      for (const folder of sharedRenditionFolders(id, options.keepDays, now())) {
        for await (const key of store.list(folder, '', signal)) await store.remove(key, signal)
      }
    },
    forget(ids) {
      if (overMs === undefined) return
      for (const id of ids) ignored.set(id, true)
      writer.forget(ids)
    },
    counters,
    get pending() {
      return writer.pending
    },
    stop: writer.stop,
  }
}
