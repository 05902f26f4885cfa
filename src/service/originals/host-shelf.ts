import { LRUCache } from 'lru-cache'
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
  /**
   * Writes an original; its pointer follows in the background.
   * @returns false if the store could not take it.
   */
  keep(
    version: RemoteVersionName,
    pointer: RemotePointer,
    original: KeptOriginal,
    signal: AbortSignal,
  ): Promise<boolean>
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
  /** Cancels waiting work, and resolves when no work is in progress. */
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

export function createHostShelf({ store, meter, now }: HostShelfOptions): HostShelf {
  const trouble =
    'The metadata of remote images could not be written to the object store: other nodes will request it again'
  const sharing = createSharing({ store, meter, trouble })
  const background = createBackground()
  const touchedAt = new LRUCache<string, number>({ max: MAX_TOUCHED })

  function track(work: Promise<unknown>): void {
    const report = (error: unknown): void => {
      if (!background.signal.aborted) meter.trouble('The stored metadata of a remote image could not be updated', error)
    }
    background.track(work.catch(report))
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
    async keep({ resource, id }, pointer, { source, sizeBytes, md5, format }, signal) {
      const what = 'A remote image could not be written to the object store: other nodes will fetch it from its host'
      const put = { contentType: contentTypeOf(format), sizeBytes, md5, overwrite: true }
      const write = () => store.put(remoteOriginalKey(resource, id), source, put, signal)
      // The pointer must not be there before its original.
      const isWritten = (await unlessDown(write, what, { meter, signal })) !== undefined
      if (isWritten) track(writePointer(resource, pointer))
      return isWritten
    },
    renew: (resource, pointer) => track(writePointer(resource, pointer)),
    touch(resource, pointer) {
      const isRecent = now() - (touchedAt.get(resource) ?? -Infinity) < TOUCH_AGAIN_MS
      if (isRecent || !isDueForTouch(pointer, now())) return
      touchedAt.set(resource, now())
      track(touchNow(resource, pointer))
    },
    open: ({ resource, id }, signal) => store.open(remoteOriginalKey(resource, id), signal),
    drop: (version) => track(remove(version)),
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
      track(sharing.share({ key, bytes: seal(bytes), contentType: contentTypeOf(format) }, background.signal))
    },
    stop: background.stop,
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
