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

/** Acts upon what buckets tell of their objects. */
export interface EventService {
  /**
   * Every node hears of it, as of a deletion; this one at once. What is new is made ahead in the background.
   * @throws UnavailableError if not all could be told: the bucket has to tell it again.
   */
  tell(events: readonly BucketEvent[], signal: AbortSignal): Promise<void>
  /** Objects that are being looked up to be made ahead. */
  readonly pending: number
  /** Gives up what has not been begun, and resolves when nothing is under way. */
  stop(): Promise<void>
}

/** A bucket under one of our aliases. */
export interface ToldBucket {
  readonly alias: string
  /** Its own name. Several servers may have one of that name: then all are meant. */
  readonly bucket: string
  readonly keyPrefix: string
  /** Made ahead of new objects. */
  readonly primeSizes: readonly Spec[]
}

export interface EventServiceOptions {
  readonly buckets: readonly ToldBucket[]
  readonly watch: InvalidationWatch
  readonly versions: Resolver
  readonly primes: PrimeService
  readonly meter: Meter
}

/** More are left for their viewers. */
const MAX_PENDING = 10_000

export function createEventService({ buckets, watch, versions, primes, meter }: EventServiceOptions): EventService {
  const background = createBackground()

  async function primeObject(ref: ObjectRef, specs: readonly Spec[]): Promise<void> {
    const { signal } = background
    try {
      await versions.use(ref, signal, async (id) => primes.prime(id, specs))
    } catch (error) {
      // Removed meanwhile.
      if (signal.aborted || error instanceof OriginalError) return
      meter.trouble('A new object could not be rendered in advance', error)
    }
  }

  return {
    async tell(events, signal) {
      for (const { bucket: name, key, kind } of events) {
        for (const { alias, primeSizes } of buckets.filter(isOf(name, key))) {
          const ref = { kind: 'object', bucket: alias, key } as const
          await watch.announce(resourceId(ref), signal)
          if (kind === 'removed' || primeSizes.length === 0 || background.pending >= MAX_PENDING) continue
          background.track(primeObject(ref, primeSizes))
        }
      }
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
