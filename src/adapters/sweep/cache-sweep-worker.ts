import { platform, setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { createSweepMonitor, type SweepOutcome, type SweepWorkerData } from './cache-sweep.ts'
import { SweepRefused } from './cache-sweep-folder.ts'
import { runSweep } from './cache-sweep-passes.ts'

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

// The entry of a thread: no other module imports it. On Linux a priority belongs to the thread that sets it; elsewhere it
// would change the whole process.
if (platform() === 'linux') setPriority(0, 19)
assertWorkerData(workerData)
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
parentPort?.postMessage(sweepInThread(workerData))
