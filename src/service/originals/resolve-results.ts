import { LRUCache } from 'lru-cache'
import { OriginalError, RemoteError, type ServiceError, UnavailableError } from '../../errors.ts'
import type { Version } from '../ports/originals.ts'
import { createRememberedFailures, entryBound, type RememberedFailuresOptions } from '../tools/memoize.ts'

/** A missing original is asked for again soon, because it may be uploaded at any time. */
const ABSENCE_MS = 1_000
/** A failing source is spared for longer. */
const OUTAGE_MS = 5_000

/** The last version or failure of each resource, and the number of its invalidations. */
export function createResults<V extends Version>(
  versions: LRUCache<string, V>,
  { maxRemembered, now }: RememberedFailuresOptions,
) {
  const failures = createRememberedFailures({ maxRemembered, now })
  const generations = new LRUCache<string, number>(entryBound(maxRemembered))

  function invalidated(resource: string): void {
    generations.set(resource, (generations.get(resource) ?? 0) + 1)
    failures.delete(resource)
  }

  return {
    last: (resource: string) => versions.get(resource),
    failure: failures.get,
    generation: (resource: string) => generations.get(resource) ?? 0,
    /** An invalidated result must not come back from an earlier process or another node. */
    isKnown: (resource: string) => generations.has(resource) || failures.has(resource),
    recalled(resource: string, version: V) {
      if (!generations.has(resource) && !versions.has(resource)) versions.set(resource, version)
    },
    succeeded: (resource: string, version: V) => void versions.set(resource, version),
    failed(resource: string, error: unknown) {
      if (isOutage(error)) failures.set(resource, error, OUTAGE_MS)
      if (!(error instanceof OriginalError)) return
      failures.set(resource, error, ABSENCE_MS)
      // It is gone, or no image: the last version must not be served instead.
      versions.delete(resource)
    },
    expire(resource: string) {
      const last = versions.get(resource)
      if (last) versions.set(resource, withoutFreshness(last))
      invalidated(resource)
    },
    forget(resources: readonly string[]) {
      for (const resource of resources) {
        versions.delete(resource)
        invalidated(resource)
      }
    },
  }
}

function withoutFreshness<V extends Version>(version: V): V {
  return { ...version, freshness: { ...version.freshness, freshSeconds: 0, staleWhileRevalidateSeconds: 0 } }
}

/** The source did not respond, so its last result may be used while stale-if-error lasts. */
export function isOutage(error: unknown): error is ServiceError {
  return error instanceof UnavailableError || error instanceof RemoteError
}
