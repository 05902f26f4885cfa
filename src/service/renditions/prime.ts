import pLimit from 'p-limit'
import { ACCEPT_CLASSES, type OutputFormat } from '../../domain/spec/image-format.ts'
import type { Spec } from '../../domain/spec/spec.ts'
import { ChangedError, OriginalError, RequestError } from '../../errors.ts'
import type { Meter } from '../ports/meter.ts'
import { createBackground } from '../tools/background.ts'
import type { MezzanineService } from './mezzanines.ts'
import type { ViewService } from './view.ts'

/** Renders PRIME_SIZES in advance after an upload. No request waits, so each rendition is encoded slowly, to the fewest bytes. */
export interface PrimeService {
  /**
   * Begins when the mezzanines exist. Existing renditions are kept.
   * @param format Rendered in addition to the negotiated formats, for pages that name it.
   */
  prime(id: string, specs: readonly Spec[], format?: OutputFormat): void
  /** Images whose sizes are being rendered or wait for it. */
  readonly pending: number
  /** Cancels waiting work, and resolves when no work is in progress. */
  stop(): Promise<void>
}

export interface PrimeServiceOptions {
  readonly views: ViewService
  readonly mezzanines: MezzanineService
  readonly meter: Meter
}

/** The sizes of one image wait together, so that they share a decode. Few images at once keep the queue short. */
const IMAGES_AT_ONCE = 2
/** Images beyond this number are rendered at their first views. */
const MAX_PENDING = 10_000

export function createPrimeService({ views, mezzanines, meter }: PrimeServiceOptions): PrimeService {
  const limit = pLimit(IMAGES_AT_ONCE)
  const background = createBackground()
  const { signal } = background

  async function primeImage(id: string, specs: readonly Spec[], format?: OutputFormat): Promise<void> {
    await mezzanines.make(id)
    // The most frequent formats come first, the slowest last.
    const classes = ACCEPT_CLASSES.toReversed().map((accept) => ({ accept }))
    for (const as of format === undefined ? classes : [format, ...classes]) {
      const wanted = specs.map((spec) => ({ original: { kind: 'image', id } as const, spec, as, ahead: true }))
      const outcomes = await Promise.allSettled(wanted.map((each) => views.view(each, () => true, signal)))
      for (const outcome of outcomes) if (outcome.status === 'rejected') report(id, outcome.reason)
    }
  }

  /** Errors of the image itself and its deletion are reported to its viewers. A replaced object is primed by its own event. */
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
