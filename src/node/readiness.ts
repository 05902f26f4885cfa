import { ServiceError } from '../errors.ts'
import type { Readiness } from '../http/api/node-handlers.ts'
import type { InvalidationWatch } from '../service/deletion/guard.ts'
import type { Degradation } from '../service/load/access-watch.ts'
import type { CacheKeeper } from '../service/load/cache-keeper.ts'
import type { ObjectStore } from '../service/ports/store.ts'

const CHECK_TIMEOUT_MS = 5000

export interface ReadinessSources {
  readonly store: ObjectStore
  readonly watch: InvalidationWatch
  readonly keeper: CacheKeeper
  readonly degradation: Degradation
  readonly notes: readonly string[]
  /** Why other nodes cannot rely on the registration of this node. */
  readonly memberTrouble: () => string | undefined
}

export interface NodeReadiness extends Readiness {
  drain(): void
  readonly isDraining: boolean
  /** By the last poll for deletions, without a call to the store. */
  readonly isReady: boolean
}

/** What `/readyz` reports. */
export function createReadiness(sources: ReadinessSources): NodeReadiness {
  const { store, watch, keeper, degradation, notes, memberTrouble } = sources
  let draining = false
  return {
    drain() {
      draining = true
    },
    get isDraining() {
      return draining
    },
    get isReady() {
      return !draining && watch.isCurrent
    },
    async reasons() {
      if (draining) return ['This node is shutting down']
      const late = watch.caughtUp ? [] : ['Deletions made while this node was down are not loaded yet']
      return [...(await storeTrouble(store)), ...late]
    },
    notes: () => notes,
    degraded: () => [
      ...(keeper.degraded ? ['The cache disk is not writable: images are served without the disk cache'] : []),
      ...degradation.reasons,
      ...[memberTrouble()].filter((reason) => reason !== undefined),
    ],
  }
}

async function storeTrouble(store: ObjectStore): Promise<string[]> {
  try {
    await store.check(AbortSignal.timeout(CHECK_TIMEOUT_MS))
    return []
  } catch (error) {
    return [error instanceof ServiceError ? error.message : 'The object store does not respond']
  }
}
