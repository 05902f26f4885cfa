import type { InvalidationWatch } from '../service/deletion/guard.ts'
import type { EventFeed } from '../service/library/event-feed.ts'
import type { PurgeService } from '../service/library/purge-service.ts'
import { createAccessWatch, type Degradation } from '../service/load/access-watch.ts'
import { delay, type Parts, type Repeating, repeating } from './parts.ts'
import { begun } from './repeated.ts'
import type { Outside } from './services.ts'
import type { NodeAccess } from './write-access.ts'

/** With the second for which nginx may keep a file open, a deletion takes at most two seconds. */
const POLL_MS = 750
/** The node waits for the first poll of deletions before it listens, but no longer than this if the store is down. */
const FIRST_LOOK_MS = 2000
const ACCESS_MS = 30_000
const TRIM_MS = 3_600_000
const RESUME_MS = 30_000

interface Watched extends Pick<Outside, 'store' | 'elsewhere' | 'meter'> {
  readonly feed: EventFeed
  readonly purges: PurgeService
  /** Reports images without an event. */
  readonly nightly: (signal: AbortSignal) => Promise<void>
  readonly watch: InvalidationWatch
  readonly degradation: Degradation
  readonly writeAccess: NodeAccess
}

/**
 * Polls for deletions, checks permissions, and removes expired invalidations.
 * @returns The polls for deletions.
 */
export function addStoreWatches(
  parts: Parts,
  { store, elsewhere, meter, feed, purges, nightly, watch, degradation, writeAccess }: Watched,
): Pick<Repeating, 'wake'> {
  const accessWatch = createAccessWatch({
    buckets: elsewhere.buckets,
    ...(writeAccess.tokens.length > 0 && { uploadStore: store }),
    degradation,
    now: () => performance.now(),
  })
  const reporting = (message: string, task: (signal: AbortSignal) => Promise<void>) => async (signal: AbortSignal) => {
    await task(signal).catch((error: unknown) => {
      if (!signal.aborted) meter.trouble(message, error)
    })
  }
  const deletions = repeating(POLL_MS, watch.poll)
  parts.add({
    async start() {
      await Promise.race([deletions.start(), delay(FIRST_LOOK_MS)])
    },
    stop: deletions.stop,
  })
  parts.add(
    begun(
      repeating(TRIM_MS, reporting('Expired invalidations could not be deleted from the object store', watch.trim)),
    ),
  )
  if (writeAccess.tokens.length > 0) {
    parts.add(begun(repeating(RESUME_MS, reporting('Interrupted purges could not be resumed', purges.resume))))
    parts.add(
      begun(repeating(TRIM_MS, reporting('Expired events could not be deleted from the object store', feed.trim))),
    )
    parts.add(begun(repeating(TRIM_MS, reporting('Images without an event could not be looked for', nightly))))
  }
  parts.add(
    begun(
      repeating(
        ACCESS_MS,
        reporting('The permissions of this node in the object store could not be checked', accessWatch.look),
      ),
    ),
  )
  return deletions
}
