import { platform, setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { SweepRefused } from './cache-sweep-folder.ts'
import type { SweepReport } from './cache-sweep-ledger.ts'
import type { SweepTask } from './cache-sweep-passes.ts'
import { runSweep } from './cache-sweep-run.ts'
import { createSweepMonitor } from './cache-sweep-signals.ts'

/** What the thread is given. */
export interface SweepWorkerData {
  readonly task: SweepTask
  readonly signals: SharedArrayBuffer
}

/** What the thread answers with. Classes do not survive the way between threads, so a refusal travels as data. */
export type SweepOutcome =
  | { readonly report: SweepReport }
  | { readonly refused: SweepRefused['reason']; readonly message: string }

function sweepInThread({ task, signals }: SweepWorkerData): SweepOutcome {
  try {
    return { report: runSweep(task, createSweepMonitor(signals)) }
  } catch (cause) {
    if (!(cause instanceof SweepRefused)) throw cause
    return { refused: cause.reason, message: cause.message }
  }
}

function assertWorkerData(data: unknown): asserts data is SweepWorkerData {
  const isGiven = typeof data === 'object' && data !== null && 'task' in data && 'signals' in data
  if (!isGiven || !(data.signals instanceof SharedArrayBuffer)) throw new TypeError('Not started by createCacheSweeper')
}

// The entry of a thread, never imported for its values. On Linux a priority belongs to the thread that sets it, and the
// node's others keep theirs; where it belongs to the process, as POSIX has it, it can't be had without them.
if (platform() === 'linux') setPriority(0, 19)
assertWorkerData(workerData)
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
parentPort?.postMessage(sweepInThread(workerData))
