import pLimit from 'p-limit'
import { ACCEPT_CLASSES, type OutputFormat } from '../../domain/spec/image-format.ts'
import type { Spec } from '../../domain/spec/spec.ts'
import { OriginalError, RequestError } from '../../errors.ts'
import { ChangedError } from '../originals/versions.ts'
import type { Meter } from '../ports/meter.ts'
import { createBackground } from '../tools/background.ts'
import type { MezzanineService } from './mezzanines.ts'
import type { ViewService } from './view.ts'

/** Makes ahead, after an upload, what its viewers will ask for: nobody waits, so each takes the time that few bytes need. */
export interface PrimeService {
  /**
   * Begins when the mezzanines are there. What is there already stays as it is.
   * @param format Made as well as what clients negotiate: for pages that name it.
   */
  prime(id: string, specs: readonly Spec[], format?: OutputFormat): void
  /** Images whose sizes are being made, or wait for it. */
  readonly pending: number
  /** Gives up what has not been begun, and resolves when nothing is under way. */
  stop(): Promise<void>
}

export interface PrimeServiceOptions {
  readonly views: ViewService
  readonly mezzanines: MezzanineService
  readonly meter: Meter
}

/** Of one image all sizes wait together, so that they share a decoding; of several, few at once keep the queue short. */
const IMAGES_AT_ONCE = 2
/** More are left for their viewers. */
const MAX_PENDING = 10_000

export function createPrimeService({ views, mezzanines, meter }: PrimeServiceOptions): PrimeService {
  const limit = pLimit(IMAGES_AT_ONCE)
  const background = createBackground()
  const { signal } = background

  async function primeImage(id: string, specs: readonly Spec[], format?: OutputFormat): Promise<void> {
    await mezzanines.make(id)
    // The formats that nearly all viewers get come first; the one that takes longest last.
    const classes = ACCEPT_CLASSES.toReversed().map((accept) => ({ accept }))
    for (const as of format === undefined ? classes : [format, ...classes]) {
      const wanted = specs.map((spec) => ({ original: { kind: 'image', id } as const, spec, as, ahead: true }))
      const outcomes = await Promise.allSettled(wanted.map((each) => views.view(each, () => true, signal)))
      for (const outcome of outcomes) if (outcome.status === 'rejected') report(id, outcome.reason)
    }
  }

  /** What the image itself is to blame for, or its deletion, its viewers hear of. What has replaced it has its own turn. */
  function report(id: string, error: unknown): void {
    if (signal.aborted || error instanceof OriginalError || error instanceof RequestError) return
    if (error instanceof ChangedError) return
    meter.trouble(`A size of image ${id} could not be rendered in advance`, error)
  }

  return {
    prime(id, specs, format) {
      if (specs.length === 0 || signal.aborted || background.pending >= MAX_PENDING) return
      background.track(limit(() => (signal.aborted ? Promise.resolve() : primeImage(id, specs, format))))
    },
    get pending() {
      return background.pending
    },
    stop: background.stop,
  }
}
