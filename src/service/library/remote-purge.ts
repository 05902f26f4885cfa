import pLimit from 'p-limit'
import { isRemotePointerKey, type RemoteFolder, remoteFolders } from '../../domain/stored/remote-pointer.ts'
import { REMOTE_PREFIXES, remoteFolder } from '../../domain/stored/store-layout.ts'
import { type CutOff, createAgeHistogram } from '../../domain/sweep/sweep-plan.ts'
import { UnavailableError } from '../../errors.ts'
import type { ObjectStore } from '../ports/store.ts'

/** Deletes the least recently requested remote images. Times within 0.2 % of each other count as equal. */
export interface RemotePurge {
  /**
   * Runs once. When `signal` aborts it ends early, with a report of its work so far.
   * @throws UnavailableError if the store does not respond.
   */
  run(signal: AbortSignal): Promise<RemotePurgeReport>
  /** Of the run in progress. */
  progress(): RemotePurgeProgress
}

export interface RemotePurgeOptions {
  readonly store: Pick<ObjectStore, 'listObjects' | 'remove'>
  /** Maximum size of all remote images in the store. */
  readonly maxBytes: number
  /** Deletes nothing; the report counts what would be deleted. */
  readonly dryRun: boolean
  /** Ms since 1970. */
  readonly now: () => number
}

export interface RemotePurgeReport {
  readonly dryRun: boolean
  readonly stopped: boolean
  /** Images before the purge. */
  readonly images: number
  /** Size of all of their objects before the purge. */
  readonly bytesBefore: number
  readonly removedImages: number
  readonly removedObjects: number
  readonly removedBytes: number
  /** Images that were requested during the purge, and are kept. */
  readonly usedMeanwhile: number
  /** Images that the store did not delete, or only in part. */
  readonly failed: number
  readonly firstFailure: string
}

export interface RemotePurgeProgress {
  /** 1: counting, 2: deleting. */
  readonly pass: number
  /** Prefixes of `REMOTE_PREFIXES` that are done in this pass. */
  readonly prefixes: number
  readonly images: number
  readonly removedImages: number
}

/** Prefixes listed concurrently: the store takes some milliseconds for each call. */
const WALKERS = 16
/** More failures are not due to single objects. */
const MAX_FAILED = 100

/**
 * The first pass makes a histogram of bytes by age, and the second deletes all images older than the resulting age limit. So
 * memory use does not depend on the number of images.
 *
 * Safe beside running nodes: the pointer is deleted first, and a node without it fetches the image again. So does a node that
 * still has the pointer in memory, but finds no bytes.
 */
export function createRemotePurge({ store, maxBytes, dryRun, now }: RemotePurgeOptions): RemotePurge {
  const began = now()
  const histogram = createAgeHistogram()
  const count = { images: 0, bytes: 0 }
  const removal = createRemoval(store, dryRun)
  let pass = 1
  let prefixes = 0

  async function walk(visit: (folder: RemoteFolder, signal: AbortSignal) => Promise<void>, signal: AbortSignal) {
    prefixes = 0
    await forEachPrefix(async (prefix, within) => {
      for await (const folder of remoteFolders(store.listObjects(prefix, '', within))) await visit(folder, within)
      prefixes += 1
    }, signal)
  }

  async function add({ bytes, writtenAt }: RemoteFolder): Promise<void> {
    count.images += 1
    count.bytes += bytes
    histogram.add(began - writtenAt, bytes, 1)
  }

  async function removeOld(folder: RemoteFolder, cutOff: CutOff, signal: AbortSignal): Promise<void> {
    const age = began - folder.writtenAt
    if (!cutOff.removes(age)) return
    // Before the deletion ends: the other walks decide meanwhile.
    cutOff.freed(age, folder.bytes, 1)
    const isGone = await removal.remove(folder, signal)
    if (!isGone) cutOff.freed(age, -folder.bytes, -1)
  }

  function report(stopped: boolean): RemotePurgeReport {
    return { dryRun, stopped, images: count.images, bytesBefore: count.bytes, ...removal.report() }
  }

  return {
    async run(signal) {
      try {
        await walk(add, signal)
        const shortage = { bytes: count.bytes - maxBytes, inodes: 0, reasons: [] }
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
    progress: () => ({ pass, prefixes, images: count.images, removedImages: removal.report().removedImages }),
  }
}

/** Deletes images with all of their objects, and counts them. */
function createRemoval(store: RemotePurgeOptions['store'], dryRun: boolean) {
  const done = { removedImages: 0, removedObjects: 0, removedBytes: 0, usedMeanwhile: 0, failed: 0, firstFailure: '' }

  function countRemoved({ objects, bytes }: RemoteFolder): void {
    done.removedImages += 1
    done.removedObjects += objects
    done.removedBytes += bytes
  }

  return {
    /** @returns Whether the image is gone, or in a dry run, would be. */
    async remove(folder: RemoteFolder, signal: AbortSignal): Promise<boolean> {
      try {
        // Listed again, as it may have been requested since, and so that the keys need not be kept in memory.
        const objects = dryRun ? [] : store.listObjects(remoteFolder(folder.resource), '', signal)
        for await (const { key, modifiedAt } of objects) {
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
        done.firstFailure ||= error.message
        return false
      }
    },
    report: () => ({ ...done }),
  }
}

/** Runs several prefixes concurrently. When one fails, the others are aborted and have ended before this throws. */
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
