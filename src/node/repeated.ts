import type { Config } from '../config/env.ts'
import type { Meter } from '../service/ports/meter.ts'
import { sweepSharedRenditions } from '../service/renditions/shared-renditions.ts'
import type { Repeating } from './parts.ts'
import type { Outside } from './services.ts'

/** Removes shared renditions whose days are over from a folder; in a bucket, a lifecycle rule does it. */
export function renditionSweep({ SHARE_RENDITIONS_DAYS: keepDays }: Config, { store, meter }: Outside) {
  const message = 'Shared renditions whose days are over could not be deleted from the object store'
  return untilItWorks(meter, message, (signal) => sweepSharedRenditions(store, { keepDays, nowMs: Date.now() }, signal))
}

/** Reports the first of several failures in a row. */
export function untilItWorks(meter: Meter, message: string, task: (signal: AbortSignal) => Promise<void>) {
  let isFailing = false
  return async (signal: AbortSignal): Promise<void> => {
    try {
      await task(signal)
      isFailing = false
    } catch (error) {
      if (!isFailing && !signal.aborted) meter.trouble(message, error)
      isFailing = true
    }
  }
}

/** Starts without waiting for the first run. */
export function begun({ start, stop }: Repeating) {
  return {
    start() {
      void start()
    },
    stop,
  }
}
