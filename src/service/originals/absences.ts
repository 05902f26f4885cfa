import { LRUCache } from 'lru-cache'
import { isVersionId } from '../../domain/identity/image-id.ts'
import { OriginalError } from '../../errors.ts'
import { pause } from '../tools/coalesce.ts'
import { createRememberedFailures, entryBound, type RememberedFailuresOptions } from '../tools/memoize.ts'

/** Originals that were not found, or are no images, a moment ago. */
export interface Absences {
  /** @throws the remembered error. A missing upload has none: it may be there now. */
  assertNone(id: string): void
  add(id: string, error: OriginalError): void
  delete(id: string): void
  /** Waits until the store may be asked for this original again. */
  untilMayAsk(id: string, signal: AbortSignal): Promise<void>
}

/** What is no image, or has no such version, is remembered for this time. */
const ABSENCE_MS = 1_000
/**
 * The store is asked for one missing upload at most this often, so that a page of broken links does not become a load on the
 * store. The requests in between wait for the next answer, so that an upload by any node is seen at once.
 */
const PAUSE_MS = 100
/** An entry takes about 200 bytes. */
const MAX_MISSING = 10_000

/** Whether the error is about an image that any node may upload at any moment. */
export function isMissing(error: unknown): boolean {
  return error instanceof OriginalError && (error.code === 'original_not_found' || error.code === 'original_deleted')
}

export function createAbsences(options: RememberedFailuresOptions): Absences {
  const failures = createRememberedFailures(options)
  const missingSince = new LRUCache<string, number>(entryBound(Math.min(options.maxRemembered, MAX_MISSING)))
  return {
    assertNone(id) {
      const failure = failures.get(id)
      if (failure) throw failure
    },
    add(id, error) {
      if (isMissing(error) && !isVersionId(id)) missingSince.set(id, performance.now())
      else failures.set(id, error, ABSENCE_MS)
    },
    delete(id) {
      failures.delete(id)
      missingSince.delete(id)
    },
    async untilMayAsk(id, signal) {
      const since = missingSince.get(id)
      if (since !== undefined) await pause(since + PAUSE_MS - performance.now(), signal)
    },
  }
}
