import { Worker } from 'node:worker_threads'
import type { SweepSettings } from '../../domain/sweep/sweep-plan.ts'
import { SweepRefused } from './cache-sweep-folder.ts'
import type { SweepReport } from './cache-sweep-ledger.ts'
import type { SweepMonitor, SweepProgress, SweepTask } from './cache-sweep-passes.ts'

export interface CacheSweeperOptions {
  readonly cacheDir: string
  readonly settings: SweepSettings
  /** Removes every picture of any age. Default: false. */
  readonly all?: boolean
  /** Changes nothing; the report counts what would be removed. Default: false. */
  readonly dryRun?: boolean
  /** The time, ms since 1970. Default: the system's. */
  readonly now?: () => number
  /** Folder for compiled code, which halves the memory of the thread. Absent: nothing is compiled ahead. */
  readonly codeFolder?: string
}

export interface CacheSweeper {
  /**
   * Removes idle files and those over the budgets, in a thread of the lowest priority. A call during a sweep returns the
   * report of that sweep. Files that are read or published meanwhile are kept; a file that a request has just found may be
   * gone when it is opened.
   *
   * @throws SweepRefused if the folder is not a cache, or another process is sweeping it.
   * @throws RangeError for settings out of range.
   */
  sweep(): Promise<SweepReport>
  /** Progress of the running sweep; undefined between sweeps. */
  progress(): SweepProgress | undefined
  /** Stops the running sweep after the current file; resolves when it has ended. Another sweep may follow. */
  stop(): Promise<void>
}

/** Sweeps for the node and for `scripts/purge-cache`. It has no schedule of its own. */
export function createCacheSweeper(options: CacheSweeperOptions): CacheSweeper {
  const { cacheDir, settings, all = false, dryRun = false, now = Date.now } = options
  let underWay: { readonly report: Promise<SweepReport>; readonly signals: SharedArrayBuffer } | undefined

  function start(): Promise<SweepReport> {
    const signals = createSweepSignals()
    const task = { cacheDir, settings, nowMs: now(), all, dryRun }
    const report = runWorker({ task, signals }, options.codeFolder).finally(() => {
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
      // The caller of sweep() receives its error.
      await Promise.allSettled([underWay.report])
    },
  }
}

function runWorker(workerData: SweepWorkerData, codeFolder?: string): Promise<SweepReport> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./cache-sweep-worker.ts', import.meta.url), {
      workerData,
      ...(codeFolder !== undefined && { env: { NODE_COMPILE_CACHE: codeFolder } }),
    })
    worker.once('message', (outcome: SweepOutcome) => {
      if ('report' in outcome) resolve(outcome.report)
      else reject(new SweepRefused(outcome.refused, outcome.message))
    })
    worker.once('error', reject)
    // No effect after a message or an error.
    worker.once('exit', (code) => reject(new Error(`The sweep thread exited with code ${code} without a report`)))
  })
}

/** Sent to the thread. */
export interface SweepWorkerData {
  readonly task: SweepTask
  readonly signals: SharedArrayBuffer
}

/** Sent by the thread. A refusal travels as data: instances of a class lose it between threads. */
export type SweepOutcome =
  | { readonly report: SweepReport }
  | { readonly refused: SweepRefused['reason']; readonly message: string }

// A thread that blocks in system calls reads no messages: the two sides share these numbers instead.
const STOP = 0
const PROGRESS = ['pass', 'shards', 'totalShards', 'scannedFiles', 'removedFiles'] as const

function createSweepSignals(): SharedArrayBuffer {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT * (1 + PROGRESS.length))
}

function stopSweep(signals: SharedArrayBuffer): void {
  Atomics.store(new Int32Array(signals), STOP, 1)
}

/** @returns Zeros before the sweep has begun. */
function readProgress(signals: SharedArrayBuffer): SweepProgress {
  const [, pass = 0, shards = 0, totalShards = 0, scannedFiles = 0, removedFiles = 0] = new Int32Array(signals)
  return { pass, shards, totalShards, scannedFiles, removedFiles }
}

/** The thread's side of the signals. */
export function createSweepMonitor(signals: SharedArrayBuffer): SweepMonitor {
  const numbers = new Int32Array(signals)
  return {
    isStopped: () => Atomics.load(numbers, STOP) === 1,
    report(progress) {
      for (const [index, name] of PROGRESS.entries()) numbers[1 + index] = progress[name]
    },
  }
}
