import type { ObjectRef } from '../../domain/identity/image-id.ts'
import { resourceId } from '../../domain/identity/image-id.ts'
import type { Spec } from '../../domain/spec/spec.ts'
import type { BucketEvent } from '../../domain/url/bucket-event.ts'
import { OriginalError } from '../../errors.ts'
import type { InvalidationWatch } from '../deletion/guard.ts'
import type { Resolver } from '../originals/resolve.ts'
import type { Meter } from '../ports/meter.ts'
import type { PrimeService } from '../renditions/prime.ts'
import { createBackground } from '../tools/background.ts'
import type { Outbox } from './outbox.ts'
import { createPurgeReports } from './purge-reports.ts'

/** Processes bucket notifications. */
export interface EventService {
  /**
   * Invalidates the objects on every node, like a deletion; on this one at once. New objects are rendered in advance,
   * in the background.
   * @throws UnavailableError if an invalidation failed: the bucket has to repeat the notification.
   */
  tell(events: readonly BucketEvent[], signal: AbortSignal): Promise<void>
  /** Objects that are being looked up for rendering in advance. */
  readonly pending: number
  /** Drops work that has not begun, and resolves when the rest has ended. */
  stop(): Promise<void>
}

export interface ToldBucket {
  readonly alias: string
  /** Name on its server. Buckets of the same name on several servers all match. */
  readonly bucket: string
  readonly keyPrefix: string
  /** Sizes of new objects to render in advance. */
  readonly primeSizes: readonly Spec[]
}

export interface EventServiceOptions {
  readonly buckets: readonly ToldBucket[]
  readonly watch: InvalidationWatch
  readonly outbox: Pick<Outbox, 'report'>
  /** Whether changed objects are reported in events, for caches outside. */
  readonly reportsChanges: boolean
  /** Milliseconds since 1970. */
  readonly now: () => number
  readonly versions: Resolver
  readonly primes: PrimeService
  readonly meter: Meter
}

/** Maximum pending objects; others are rendered on request. */
const MAX_PENDING = 10_000

export function createEventService(options: EventServiceOptions): EventService {
  const { buckets, watch, versions, primes, meter } = options
  const background = createBackground()

  async function primeObject(ref: ObjectRef, specs: readonly Spec[]): Promise<void> {
    const { signal } = background
    try {
      await versions.use(ref, signal, async (id) => primes.prime(id, specs))
    } catch (error) {
      // The object was removed meanwhile.
      if (signal.aborted || error instanceof OriginalError) return
      meter.trouble('A new object could not be rendered in advance', error)
    }
  }

  return {
    async tell(events, signal) {
      const reports = createPurgeReports(options, signal)
      for (const { bucket: name, key, kind } of events) {
        for (const { alias, primeSizes } of buckets.filter(isOf(name, key))) {
          const ref = { kind: 'object', bucket: alias, key } as const
          const id = resourceId(ref)
          await watch.announce(id, signal)
          if (options.reportsChanges) await reports.add([id])
          if (kind === 'removed' || primeSizes.length === 0 || background.pending >= MAX_PENDING) continue
          background.track(primeObject(ref, primeSizes))
        }
      }
      await reports.end()
    },
    get pending() {
      return background.pending
    },
    stop: background.stop,
  }
}

function isOf(name: string, key: string): (bucket: ToldBucket) => boolean {
  return ({ bucket, keyPrefix }) => bucket === name && key.startsWith(keyPrefix)
}
