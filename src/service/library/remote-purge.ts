import pLimit from 'p-limit'
import { isRemotePointerKey, type RemoteFolder, remoteFolders } from '../../domain/stored/remote-pointer.ts'
import { REMOTE_PREFIXES, remoteFolder } from '../../domain/stored/store-layout.ts'
import { type CutOff, createAgeHistogram } from '../../domain/sweep/sweep-plan.ts'
import { UnavailableError } from '../../errors.ts'
import type { ObjectStore } from '../ports/store.ts'

/** Deletes the remote images that nobody has asked for the longest. */
export interface RemotePurge {
  /**
   * Runs once. When `signal` aborts it ends early, with a report of what it has done.
   * @throws UnavailableError if the store does not answer.
   */
  run(signal: AbortSignal): Promise<RemotePurgeReport>
  /** Of a run under way. */
  progress(): RemotePurgeProgress
}

export interface RemotePurgeOptions {
  readonly store: Pick<ObjectStore, 'listObjects' | 'remove'>
  /** That all remote images together may have in the store. */
  readonly maxBytes: number
  /** Delete nothing; the report says what would have been deleted. */
  readonly dryRun: boolean
  /** Ms since 1970. */
  readonly now: () => number
}

export interface RemotePurgeReport {
  readonly dryRun: boolean
  readonly stopped: boolean
  /** Images, and the bytes of all of their objects, before anything was deleted. */
  readonly images: number
  readonly bytesBefore: number
  readonly removedImages: number
  readonly removedObjects: number
  readonly removedBytes: number
  /** Images that turned out to be in use when they were to be deleted, and stayed. */
  readonly usedMeanwhile: number
  /** Images that the store did not delete, or not wholly. */
  readonly failed: number
  readonly firstFailure: string
}

export interface RemotePurgeProgress {
  /** 1 counts, 2 deletes. */
  readonly pass: number
  /** Of `REMOTE_PREFIXES`, those that are done in this pass. */
  readonly prefixes: number
  readonly images: number
  readonly removedImages: number
}

/** Prefixes that are walked at once. A store takes some milliseconds for each call, which are waited for together. */
const WALKERS = 16
/** More are no accident of single objects. */
const MAX_FAILED = 100
/** Older ones are deleted in any order. Below it, an order is told to within a quarter of an hour, and of a minute to seconds. */
const MAX_AGE_MS = 400 * 86_400_000

/**
 * Counts first how many bytes were written how long ago, and then deletes whatever is older than the age from which the rest
 * fits. So it takes the same memory whatever the number of images.
 *
 * Safe beside nodes: the pointer goes first, and without it a node fetches the image again. A node that still knows it, and
 * finds no bytes, does the same.
 */
export function createRemotePurge({ store, maxBytes, dryRun, now }: RemotePurgeOptions): RemotePurge {
  const began = now()
  const histogram = createAgeHistogram(MAX_AGE_MS)
  const done = {
    images: 0,
    bytes: 0,
    removedImages: 0,
    removedObjects: 0,
    removedBytes: 0,
    usedMeanwhile: 0,
    failed: 0,
  }
  let firstFailure = ''
  let pass = 1
  let prefixes = 0

  async function walk(visit: (folder: RemoteFolder, signal: AbortSignal) => Promise<void>, signal: AbortSignal) {
    prefixes = 0
    await forEachPrefix(async (prefix, within) => {
      for await (const folder of remoteFolders(store.listObjects(prefix, '', within))) await visit(folder, within)
      prefixes += 1
    }, signal)
  }

  async function count({ bytes, writtenAt }: RemoteFolder): Promise<void> {
    done.images += 1
    done.bytes += bytes
    histogram.add(began - writtenAt, bytes, 1)
  }

  async function removeOld(folder: RemoteFolder, cutOff: CutOff, signal: AbortSignal): Promise<void> {
    const age = began - folder.writtenAt
    if (!cutOff.removes(age)) return
    // At once: others are being judged while this one is deleted.
    cutOff.freed(age, folder.bytes, 1)
    if (dryRun) {
      countRemoved(folder)
      return
    }
    const isGone = await remove(folder, signal)
    if (!isGone) cutOff.freed(age, -folder.bytes, -1)
  }

  async function remove(folder: RemoteFolder, signal: AbortSignal): Promise<boolean> {
    try {
      // Listed once more, for it may have come into use since; and so nobody has to remember keys.
      for await (const { key, modifiedAt } of store.listObjects(remoteFolder(folder.resource), '', signal)) {
        if (isRemotePointerKey(key, folder.resource) && modifiedAt.getTime() > folder.writtenAt) {
          done.usedMeanwhile += 1
          return false
        }
        await store.remove(key, signal)
      }
      countRemoved(folder)
      return true
    } catch (error) {
      if (!(error instanceof UnavailableError) || done.failed >= MAX_FAILED) throw error
      done.failed += 1
      firstFailure ||= error.message
      return false
    }
  }

  function countRemoved({ objects, bytes }: RemoteFolder): void {
    done.removedImages += 1
    done.removedObjects += objects
    done.removedBytes += bytes
  }

  function report(stopped: boolean): RemotePurgeReport {
    const { bytes: bytesBefore, ...rest } = done
    return { dryRun, stopped, ...rest, bytesBefore, firstFailure }
  }

  return {
    async run(signal) {
      try {
        await walk(count, signal)
        const shortage = { bytes: done.bytes - maxBytes, inodes: 0, reasons: [] }
        if (shortage.bytes <= 0) return report(false)
        const cutOff = histogram.cutOff(shortage)
        pass = 2
        await walk((folder, within) => removeOld(folder, cutOff, within), signal)
        return report(false)
      } catch (error) {
        if (!signal.aborted) throw error
        return report(true)
      }
    },
    progress: () => ({ pass, prefixes, images: done.images, removedImages: done.removedImages }),
  }
}

/** Several at once; when one fails, the others end too before this throws what it threw. */
async function forEachPrefix(
  work: (prefix: string, signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const limit = pLimit(WALKERS)
  const failing = new AbortController()
  const within = AbortSignal.any([signal, failing.signal])
  const walks = REMOTE_PREFIXES.map((prefix) =>
    limit(async () => {
      within.throwIfAborted()
      await work(prefix, within)
    }).catch((error: unknown) => {
      failing.abort(error)
      throw error
    }),
  )
  await Promise.allSettled(walks)
  await Promise.all(walks)
}
