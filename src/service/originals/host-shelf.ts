import { LRUCache } from 'lru-cache'
import pLimit from 'p-limit'
import type { RemoteRef } from '../../domain/identity/image-id.ts'
import { resourceId } from '../../domain/identity/image-id.ts'
import { contentTypeOf, type InputFormat } from '../../domain/spec/image-format.ts'
import {
  formatRemotePointer,
  isDueForTouch,
  openSealed,
  parseRemotePointer,
  type RemotePointer,
  seal,
} from '../../domain/stored/remote-pointer.ts'
import {
  remoteOriginalKey,
  remotePointerKey,
  remoteRenditionKey,
  remoteRenditionsPrefix,
} from '../../domain/stored/store-layout.ts'
import { UnavailableError } from '../../errors.ts'
import type { MadeRendition, Spooled } from '../ports/cache.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectStore, OpenObject } from '../ports/store.ts'
import { createBackground } from '../tools/background.ts'
import { createLines } from '../tools/lines.ts'
import { createSharing, readText, readWhole } from '../tools/small-object.ts'

/** One version of a remote image. */
export interface RemoteVersionName {
  /** By `resourceId`. */
  readonly resource: string
  /** By `versionId`. */
  readonly id: string
}

/**
 * The remote images in the store, for all nodes and for the time after their hosts have gone. All of this may be missing: if the
 * store fails, an image is fetched from its host.
 */
export interface HostShelf {
  /** The last result of any node. */
  recall(ref: RemoteRef, signal: AbortSignal): Promise<RemotePointer | undefined>
  /** Whether a request need not wait for the end of `keep`: not many originals are being written. */
  hasRoom(sizeBytes: number): boolean
  /**
   * Writes an original and then its pointer. Goes on without its caller.
   * @returns false if the store could not take it, which is logged. Never rejects.
   */
  keep(version: RemoteVersionName, pointer: RemotePointer, original: KeptOriginal): Promise<boolean>
  /** In the background: writes a new pointer. */
  renew(resource: string, pointer: RemotePointer): void
  /** In the background, once a week for each image: marks it as used. */
  touch(resource: string, pointer: RemotePointer): void
  /** @returns undefined if it is not there. @throws UnavailableError */
  open(version: RemoteVersionName, signal: AbortSignal): Promise<OpenObject | undefined>
  /** In the background: removes an old version. A node that is still reading it resolves the image again. */
  drop(version: RemoteVersionName): void
  /** A rendition of any node. @param file Its name in the cache. */
  findRendition(version: RemoteVersionName, file: string, signal: AbortSignal): Promise<Buffer | undefined>
  /** In the background. */
  keepRendition(version: RemoteVersionName, file: string, made: MadeRendition): void
  /** Tasks in the background. */
  readonly pending: number
  /** Waits some seconds for the originals, cancels other waiting work, and resolves when no work is in progress. */
  stop(): Promise<void>
}

export interface KeptOriginal extends Pick<Spooled, 'source' | 'sizeBytes' | 'md5'> {
  readonly format: InputFormat
}

export interface HostShelfOptions {
  readonly store: ObjectStore
  readonly meter: Pick<Meter, 'trouble'>
  /** Ms since 1970. */
  readonly now: () => number
}

/** An image that is due for a touch is read from the store at most this often: another node may have touched it. */
const TOUCH_AGAIN_MS = 86_400_000
/** An evicted entry costs one more read. */
const MAX_TOUCHED = 100_000
const MAX_RENDITION_BYTES = 16 * 1024 * 1024
const SHARING_TROUBLE =
  'The metadata of remote images could not be written to the object store: other nodes will request it again'
/** Originals that are being written while nobody waits for it. */
const BEHIND = { max: 64, bytes: 256 * 1024 * 1024, atOnce: 4 } as const
/** A shutdown takes 10 s at most. */
const STOP_MS = 4_000

export function createHostShelf({ store, meter, now }: HostShelfOptions): HostShelf {
  const sharing = createSharing({ store, meter, trouble: SHARING_TROUBLE })
  const background = createBackground()
  // A pointer must not be replaced by that of an older version.
  const lines = createLines()
  const originals = createOriginalWriter({ store, meter }, background.signal)
  const touchedAt = new LRUCache<string, number>({ max: MAX_TOUCHED })

  /** @returns when it has ended, successfully or not. */
  async function track(work: Promise<unknown>): Promise<void> {
    const what = 'The stored metadata of a remote image could not be updated'
    const reported = work.catch((error: unknown) => background.signal.aborted || meter.trouble(what, error))
    background.track(reported)
    await reported
  }

  async function readPointer(resource: string, signal: AbortSignal): Promise<RemotePointer | undefined> {
    const text = await readText(store, remotePointerKey(resource), signal)
    return text === undefined ? undefined : parseRemotePointer(text)
  }

  async function writePointer(resource: string, pointer: RemotePointer): Promise<void> {
    const bytes = Buffer.from(formatRemotePointer(pointer))
    const object = { key: remotePointerKey(resource), bytes, contentType: 'application/json' }
    await sharing.share(object, background.signal)
  }

  /** A purged pointer is not written again, and a newer one of another node is not replaced by an older one. */
  async function touchNow(resource: string, { sha256 }: RemotePointer): Promise<void> {
    const stored = await readPointer(resource, background.signal)
    if (stored?.sha256 !== sha256 || !isDueForTouch(stored, now())) return
    await writePointer(resource, { ...stored, usedAt: now() })
  }

  async function remove({ resource, id }: RemoteVersionName): Promise<void> {
    const { signal } = background
    await store.remove(remoteOriginalKey(resource, id), signal)
    for await (const key of store.list(remoteRenditionsPrefix(resource, id), '', signal))
      await store.remove(key, signal)
  }

  return {
    async recall(ref, signal) {
      const what = 'The stored metadata of a remote image could not be read: it is fetched from its host'
      const pointer = await unlessDown(() => readPointer(resourceId(ref), signal), what, { meter, signal })
      return pointer?.url === ref.url ? pointer : undefined
    },
    hasRoom: originals.hasRoom,
    keep: (version, pointer, original) =>
      lines.run(version.resource, async () => {
        const isWritten = await originals.put(version, original)
        // Afterwards: the pointer must not be there before its original.
        if (isWritten) await track(writePointer(version.resource, pointer))
        return isWritten
      }),
    renew: (resource, pointer) => void track(lines.run(resource, () => writePointer(resource, pointer))),
    touch(resource, pointer) {
      const isRecent = now() - (touchedAt.get(resource) ?? -Infinity) < TOUCH_AGAIN_MS
      if (isRecent || !isDueForTouch(pointer, now())) return
      touchedAt.set(resource, now())
      void track(touchNow(resource, pointer))
    },
    open: ({ resource, id }, signal) => store.open(remoteOriginalKey(resource, id), signal),
    drop: (version) => void track(lines.run(version.resource, () => remove(version))),
    async findRendition({ resource, id }, file, signal) {
      const what = 'A stored rendition could not be read: it is rendered again'
      const read = async () => {
        const object = await store.open(remoteRenditionKey(resource, id, file), signal)
        return object && openSealed(await readWhole(object, MAX_RENDITION_BYTES))
      }
      return await unlessDown(read, what, { meter, signal })
    },
    keepRendition({ resource, id }, file, { bytes, format }) {
      if (bytes.length > MAX_RENDITION_BYTES / 2) return
      const key = remoteRenditionKey(resource, id, file)
      void track(sharing.share({ key, bytes: seal(bytes), contentType: contentTypeOf(format) }, background.signal))
    },
    get pending() {
      return background.pending + lines.pending
    },
    async stop() {
      await within(STOP_MS, lines.idle())
      await background.stop()
      await lines.idle()
    },
  }
}

async function within(ms: number, work: Promise<void>): Promise<void> {
  const tooLate = Promise.withResolvers<void>()
  const timer = setTimeout(tooLate.resolve, ms)
  await Promise.race([work, tooLate.promise])
  clearTimeout(timer)
}

/** Puts originals while nobody waits for it. @param signal Cancels them. */
function createOriginalWriter({ store, meter }: Pick<HostShelfOptions, 'store' | 'meter'>, signal: AbortSignal) {
  const turns = pLimit(BEHIND.atOnce)
  let count = 0
  let bytes = 0

  return {
    hasRoom: (sizeBytes: number) => count < BEHIND.max && bytes + sizeBytes <= BEHIND.bytes,
    /** @returns false if the store could not take it, which is logged. */
    async put({ resource, id }: RemoteVersionName, { source, sizeBytes, md5, format }: KeptOriginal): Promise<boolean> {
      // A reader compares the bytes with the SHA-256 in the pointer; if they differ, the host is asked again.
      const nature = { overwrite: true, rebuildable: true, mayLink: true }
      const put = { ...nature, contentType: contentTypeOf(format), sizeBytes, ...(md5 !== '' && { md5 }) }
      count += 1
      bytes += sizeBytes
      try {
        await turns(() => store.put(remoteOriginalKey(resource, id), source, put, signal))
        return true
      } catch (error) {
        const what = 'A remote image could not be written to the object store: other nodes will fetch it from its host'
        if (!signal.aborted) meter.trouble(what, error)
        return false
      } finally {
        count -= 1
        bytes -= sizeBytes
      }
    },
  }
}

/** @returns undefined as well if the store does not respond; that is logged as `what`. */
async function unlessDown<T>(
  call: () => Promise<T>,
  what: string,
  { meter, signal }: { readonly meter: Pick<Meter, 'trouble'>; readonly signal: AbortSignal },
): Promise<T | undefined> {
  try {
    return await call()
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof UnavailableError)) throw error
    meter.trouble(what, error)
    return undefined
  }
}
