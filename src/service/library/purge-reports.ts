import { purgedEvent } from '../../domain/info/image-event.ts'
import type { Outbox } from './outbox.ts'

/** Reports purged images in events while further ones are invalidated, so that the events of many share a put. */
export interface PurgeReports {
  /** Begins to report these, or waits while too many are unreported. @throws UnavailableError of an earlier report. */
  add(ids: readonly string[]): Promise<void>
  /** When it returns, all events are durable. @throws UnavailableError */
  end(): Promise<void>
}

export interface PurgeReportsOptions {
  readonly outbox: Pick<Outbox, 'report'>
  /** Milliseconds since 1970. */
  readonly now: () => number
}

/** At most; less than a batch of the outbox. */
const MAX_WAITING = 400

export function createPurgeReports({ outbox, now }: PurgeReportsOptions, signal: AbortSignal): PurgeReports {
  let waiting: string[] = []
  let reporting: Promise<void> | undefined

  async function reportAll(): Promise<void> {
    while (waiting.length > 0) {
      const ids = waiting
      waiting = []
      await Promise.all(ids.map((id) => outbox.report(purgedEvent(id, now()), signal)))
    }
    reporting = undefined
  }

  return {
    async add(ids) {
      waiting.push(...ids)
      reporting ??= reportAll()
      // Its error is that of the next call.
      reporting.catch(() => {})
      if (waiting.length >= MAX_WAITING) await reporting
    },
    async end() {
      await reporting
    },
  }
}
