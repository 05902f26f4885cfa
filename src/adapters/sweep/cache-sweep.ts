import { Worker } from 'node:worker_threads'
import type { SweepSettings } from '../../domain/sweep/sweep-plan.ts'
import { SweepRefused } from './cache-sweep-folder.ts'
import type { SweepReport } from './cache-sweep-ledger.ts'
import type { SweepProgress } from './cache-sweep-passes.ts'
import { createSweepSignals, readProgress, stopSweep } from './cache-sweep-signals.ts'
import type { SweepOutcome, SweepWorkerData } from './cache-sweep-worker.ts'

export interface CacheSweeperOptions {
  readonly cacheDir: string
  readonly settings: SweepSettings
  /** Remove every picture whatever its age. Default: false. */
  readonly all?: boolean
  /** Change nothing; the report says what would have been removed. Default: false. */
  readonly dryRun?: boolean
  /** The time, ms since 1970. Default: the system's. */
  readonly now?: () => number
}

export interface CacheSweeper {
  /**
   * Removes what is idle or over the budgets, in a thread of its own at the lowest priority. Called during a sweep it
   * gives the report of that one. A file that is read or published meanwhile is safe; one that a request has just found
   * may be gone when it is opened.
   *
   * @throws SweepRefused if the folder is no cache, or another process is sweeping it.
   * @throws RangeError for settings out of range.
   */
  sweep(): Promise<SweepReport>
  /** How far the sweep under way is; undefined between sweeps. */
  progress(): SweepProgress | undefined
  /** Ends the sweep under way after the file it is at, and resolves when it has ended. Sweeping again is allowed. */
  stop(): Promise<void>
}

/** The node's expiry and that of `scripts/purge-cache`: the same code. Does nothing by itself: its owner says when. */
export function createCacheSweeper(options: CacheSweeperOptions): CacheSweeper {
  const { cacheDir, settings, all = false, dryRun = false, now = Date.now } = options
  let underWay: { readonly report: Promise<SweepReport>; readonly signals: SharedArrayBuffer } | undefined

  function start(): Promise<SweepReport> {
    const signals = createSweepSignals()
    const task = { cacheDir, settings, nowMs: now(), all, dryRun }
    const report = runWorker({ task, signals }).finally(() => {
      underWay = undefined
    })
    underWay = { report, signals }
    return report
  }

  return {
    sweep: () => underWay?.report ?? start(),
    progress: () => underWay && readProgress(underWay.signals),
    async stop() {
      if (underWay === undefined) return
      stopSweep(underWay.signals)
      // Whoever called sweep() gets its outcome; here only the end of it counts.
      await Promise.allSettled([underWay.report])
    },
  }
}

function runWorker(workerData: SweepWorkerData): Promise<SweepReport> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./cache-sweep-worker.ts', import.meta.url), { workerData })
    worker.once('message', (outcome: SweepOutcome) => {
      if ('report' in outcome) resolve(outcome.report)
      else reject(new SweepRefused(outcome.refused, outcome.message))
    })
    worker.once('error', reject)
    // Without effect after a message or an error.
    worker.once('exit', (code) => reject(new Error(`The sweep thread exited with code ${code} without a report`)))
  })
}
