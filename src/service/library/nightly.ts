import { NIGHTS_PREFIX, nightKey, parseReconciled, RECONCILED_KEY } from '../../domain/stored/reconcile-state.ts'
import type { Meter } from '../ports/meter.ts'
import type { ObjectStore } from '../ports/store.ts'
import { putBytes, readText } from '../tools/small-object.ts'
import type { ReconcileReport, Reconciliation } from './reconciliation.ts'

export interface NightlyOptions {
  readonly store: ObjectStore
  readonly reconciliation: Reconciliation
  readonly meter: Pick<Meter, 'trouble'>
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Batches of the outbox are kept for this time. */
  readonly keepMs: number
}

/** Uploads in progress end, and their events are written, within this time. */
const SETTLED_MS = 20 * 60_000
/** Checked again, as the clocks of nodes differ. */
const OVERLAP_MS = 3_600_000
const RELEASE_MS = 5000

/**
 * Reconciles the images since the last time, once a night by one of the nodes. To be called at the start, where it does
 * nothing, and every hour. The claim of a node that
 * ends meanwhile is void, and so is that of one that was killed: the next night checks the same images.
 *
 * @throws UnavailableError
 */
export function createNightly(options: NightlyOptions): (signal: AbortSignal) => Promise<void> {
  const { store, now } = options
  let isFirst = true
  return async (signal) => {
    // A node that has just started has other work.
    if (isFirst) {
      isFirst = false
      return
    }
    const key = nightKey(now())
    const claim = { key, bytes: Buffer.from(String(now())), contentType: 'text/plain' }
    if ((await putBytes(store, claim, signal)) === 'exists') return
    try {
      await reconcileNow(options, { dryRun: false, all: false }, signal)
    } catch (error) {
      await store.remove(key, AbortSignal.timeout(RELEASE_MS))
      throw error
    }
    for await (const old of store.list(NIGHTS_PREFIX, '', signal)) {
      if (old < key) await store.remove(old, signal)
    }
  }
}

export interface ReconcileMode {
  /** Only counts, and remembers nothing. */
  readonly dryRun: boolean
  /** Also images of before the outbox, and those whose events are no longer kept. */
  readonly all: boolean
}

/**
 * Reconciles the images since the last time; the first time those of which the outbox has the events.
 * @throws UnavailableError
 */
export async function reconcileNow(
  { store, reconciliation, meter, now, keepMs }: NightlyOptions,
  { dryRun, all }: ReconcileMode,
  signal: AbortSignal,
): Promise<ReconcileReport> {
  const until = now() - SETTLED_MS
  const last = parseReconciled((await readText(store, RECONCILED_KEY, signal)) ?? '') ?? now() - keepMs + OVERLAP_MS
  const since = all ? 0 : last - OVERLAP_MS
  const report = await reconciliation.run({ since, until, dryRun }, signal)
  if (dryRun) return report
  if (report.missing > 0) {
    meter.trouble(`${report.missing} images had no event in the outbox; it is reported now (docs/events.md)`, undefined)
  }
  const state = { key: RECONCILED_KEY, bytes: Buffer.from(String(until)), contentType: 'text/plain', overwrite: true }
  await putBytes(store, state, signal)
  return report
}
