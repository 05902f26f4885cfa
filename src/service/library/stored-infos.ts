import { formatInfo, type ImageInfo, parseInfo } from '../../domain/info/image-info.ts'
import { infoKey, originalKey } from '../../domain/stored/store-layout.ts'
import { UnavailableError } from '../../errors.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectStore } from '../ports/store.ts'
import { createSharing } from '../tools/sharing.ts'
import { readText } from '../tools/small-object.ts'

/** The information of images in the store, for all nodes. */
export interface StoredInfos {
  /** A store that does not give it costs the time to measure again; if nothing else can be had of it, the original says so. */
  read(id: string, signal: AbortSignal): Promise<ImageInfo | undefined>
  /** A store that can't be written to costs the other nodes the time to measure, and nobody an answer. It never rejects. */
  share(id: string, info: ImageInfo, signal: AbortSignal): Promise<void>
}

const UNSHARED = 'Image information could not be written to the object store: other nodes will compute it again'

export function createStoredInfos(store: ObjectStore, meter: Meter): StoredInfos {
  const sharing = createSharing({ store, meter, trouble: UNSHARED })
  return {
    async read(id, signal) {
      try {
        const text = await readText(store, infoKey(id), signal)
        return text === undefined ? undefined : parseInfo(text)
      } catch (error) {
        signal.throwIfAborted()
        if (!(error instanceof UnavailableError)) throw error
        meter.trouble(`The information of image ${id} could not be read from the object store`, error)
        return undefined
      }
    },
    async share(id, info, signal) {
      if (signal.aborted) return
      const bytes = Buffer.from(formatInfo(info))
      try {
        if (!(await sharing.share({ key: infoKey(id), bytes, contentType: 'application/json' }, signal))) return
        // A deletion removes the original before it removes this, and may have been done while this was on its way.
        if ((await store.stat(originalKey(id), signal)) === undefined) await store.remove(infoKey(id), signal)
      } catch (error) {
        if (!signal.aborted) meter.trouble(UNSHARED, error)
      }
    },
  }
}
