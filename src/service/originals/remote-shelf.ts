import { LRUCache } from 'lru-cache'
import { resourceId } from '../../domain/identity/image-id.ts'
import type { RemoteRef } from '../../domain/identity/original-ref.ts'
import { contentTypeOf, type InputFormat, type OutputFormat } from '../../domain/spec/image-format.ts'
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
import type { Spooled } from '../ports/cache.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectStore, OpenObject } from '../ports/store.ts'
import { createBackground } from '../tools/background.ts'
import { createSharing, readText, readWhole } from '../tools/small-object.ts'

/** One version of a remote original. */
export interface RemoteVersionName {
  /** By `resourceId`. */
  readonly resource: string
  /** By `versionId`. */
  readonly id: string
}

/**
 * What the store keeps of remote images, for all nodes and for when their hosts have gone. Nothing here has to be there: a
 * store that fails costs a fetch from the host.
 */
export interface RemoteShelf {
  /** What was last found out about an image, by whichever node. */
  recall(ref: RemoteRef, signal: AbortSignal): Promise<RemotePointer | undefined>
  /**
   * Keeps an original; its pointer follows in the background.
   * @returns false if the store did not take it.
   */
  keep(
    version: RemoteVersionName,
    pointer: RemotePointer,
    original: KeptOriginal,
    signal: AbortSignal,
  ): Promise<boolean>
  /** In the background: what was found out now. */
  renew(resource: string, pointer: RemotePointer): void
  /** In the background, once a week for each: that the image is in use. */
  touch(resource: string, pointer: RemotePointer): void
  /** @returns undefined if it is not there. @throws UnavailableError */
  open(version: RemoteVersionName, signal: AbortSignal): Promise<OpenObject | undefined>
  /** In the background: a version that is no more. Another node may still be reading it: that one asks anew. */
  drop(version: RemoteVersionName): void
  /** A rendition that some node has made. @param file Its name in the cache. */
  findRendition(version: RemoteVersionName, file: string, signal: AbortSignal): Promise<Buffer | undefined>
  /** In the background. */
  keepRendition(
    version: RemoteVersionName,
    file: string,
    made: { readonly bytes: Buffer; readonly format: OutputFormat },
  ): void
  /** Gives up what has not been begun, and resolves when nothing is under way. */
  stop(): Promise<void>
}

export interface KeptOriginal extends Pick<Spooled, 'source' | 'sizeBytes' | 'md5'> {
  readonly format: InputFormat
}

export interface RemoteShelfOptions {
  readonly store: ObjectStore
  readonly meter: Pick<Meter, 'trouble'>
  /** Ms since 1970. */
  readonly now: () => number
}

/** Of an image that is due, how often the store is asked whether it still is: another node may have renewed it. */
const TOUCH_AGAIN_MS = 86_400_000
/** Those that are forgotten are asked for once more. */
const MAX_TOUCHED = 100_000
const MAX_RENDITION_BYTES = 16 * 1024 * 1024

export function createRemoteShelf({ store, meter, now }: RemoteShelfOptions): RemoteShelf {
  const sharing = createSharing({
    store,
    meter,
    trouble:
      'The metadata of remote images could not be written to the object store: other nodes will request it again',
  })
  const background = createBackground()
  const touchedAt = new LRUCache<string, number>({ max: MAX_TOUCHED })

  async function bringUpToDate(work: Promise<unknown>): Promise<void> {
    try {
      await work
    } catch (error) {
      if (background.signal.aborted) return
      meter.trouble('The stored metadata of a remote image could not be updated', error)
    }
  }

  const track = (work: Promise<unknown>): void => background.track(bringUpToDate(work))

  async function readPointer(resource: string, signal: AbortSignal): Promise<RemotePointer | undefined> {
    const text = await readText(store, remotePointerKey(resource), signal)
    return text === undefined ? undefined : parseRemotePointer(text)
  }

  async function writePointer(resource: string, pointer: RemotePointer): Promise<boolean> {
    const bytes = Buffer.from(formatRemotePointer(pointer))
    const object = { key: remotePointerKey(resource), bytes, contentType: 'application/json' }
    return await sharing.share(object, background.signal)
  }

  const renew = (resource: string, pointer: RemotePointer): void => track(writePointer(resource, pointer))

  /** What somebody has purged stays so, and another node's newer pointer as it is: neither may come back as it was here. */
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

  /** @returns undefined as well if the store does not answer: the operator hears of it. */
  async function unlessDown<T>(what: string, read: () => Promise<T>, signal: AbortSignal): Promise<T | undefined> {
    try {
      return await read()
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof UnavailableError)) throw error
      meter.trouble(what, error)
      return undefined
    }
  }

  return {
    async recall(ref, signal) {
      const what = 'The stored metadata of a remote image could not be read: it is fetched from its host'
      const pointer = await unlessDown(what, () => readPointer(resourceId(ref), signal), signal)
      return pointer?.url === ref.url ? pointer : undefined
    },
    async keep({ resource, id }, pointer, { source, sizeBytes, md5, format }, signal) {
      const what =
        'A remote image could not be written to the object store: other nodes will fetch it again from its host from its host'
      const put = { contentType: contentTypeOf(format), sizeBytes, md5, overwrite: true }
      const write = () => store.put(remoteOriginalKey(resource, id), source, put, signal)
      // What names it must not be there before it.
      const isWritten = (await unlessDown(what, write, signal)) !== undefined
      if (isWritten) renew(resource, pointer)
      return isWritten
    },
    renew,
    touch(resource, pointer) {
      const isRecent = now() - (touchedAt.get(resource) ?? -Infinity) < TOUCH_AGAIN_MS
      if (isRecent || !isDueForTouch(pointer, now())) return
      touchedAt.set(resource, now())
      track(touchNow(resource, pointer))
    },
    open: ({ resource, id }, signal) => store.open(remoteOriginalKey(resource, id), signal),
    drop: (version) => track(remove(version)),
    async findRendition({ resource, id }, file, signal) {
      const read = async () => {
        const object = await store.open(remoteRenditionKey(resource, id, file), signal)
        return object && openSealed(await readWhole(object, MAX_RENDITION_BYTES))
      }
      return await unlessDown('A stored rendition could not be read: it is rendered again', read, signal)
    },
    keepRendition({ resource, id }, file, { bytes, format }) {
      if (bytes.length > MAX_RENDITION_BYTES / 2) return
      const object = {
        key: remoteRenditionKey(resource, id, file),
        bytes: seal(bytes),
        contentType: contentTypeOf(format),
      }
      track(sharing.share(object, background.signal))
    },
    stop: background.stop,
  }
}
