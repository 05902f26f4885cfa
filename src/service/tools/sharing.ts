import { UnavailableError } from '../../errors.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectStore } from '../ports/store.ts'
import { putBytes, type SmallObject } from './small-object.ts'

/** Puts into the store, for other nodes, what can always be made again. */
export interface Sharing {
  /**
   * A store that can't be written to is spared for a while.
   * @returns false if it did not take the object; the operator hears of it.
   * @throws what has nothing to do with the store.
   */
  share(object: Omit<SmallObject, 'overwrite'>, signal: AbortSignal): Promise<boolean>
}

export interface SharingOptions {
  readonly store: ObjectStore
  readonly meter: Pick<Meter, 'trouble'>
  /** For the operator: what could not be written, and what that costs. */
  readonly trouble: string
}

/** How long a store that could not be written to is spared. */
const UNSHARED_MS = 60_000

export function createSharing({ store, meter, trouble }: SharingOptions): Sharing {
  let unsharedUntil = 0
  return {
    async share(object, signal) {
      if (performance.now() < unsharedUntil) return false
      try {
        await putBytes(store, { ...object, overwrite: true }, signal)
        return true
      } catch (error) {
        if (signal.aborted || !(error instanceof UnavailableError)) throw error
        unsharedUntil = performance.now() + UNSHARED_MS
        meter.trouble(trouble, error)
        return false
      }
    },
  }
}
