import { platform, setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { planClock, planLimits } from '../../domain/sweep/sweep-plan.ts'
import { diskSpace, loadClock, openCacheFolder, SweepRefused, saveClock } from './cache-sweep-folder.ts'
import { createSweepLedger, type SweepReport } from './cache-sweep-ledger.ts'
import { takeSweepLock } from './cache-sweep-lock.ts'
import { keepToBudgets, removeIdle, removeTemporary, type SweepMonitor, type SweepTask } from './cache-sweep-passes.ts'
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

/**
 * One sweep from beginning to end, blocking its thread. The first pass removes what is idle and counts the rest by age;
 * if that exceeds a budget, a second one removes the oldest. Ages are taken from `task.nowMs` in both.
 *
 * @throws SweepRefused if the folder is no cache, or another sweep is at work.
 * @throws RangeError for settings out of range.
 */
export function runSweep(task: SweepTask, monitor: SweepMonitor): SweepReport {
  const startedAt = performance.now()
  const folder = openCacheFolder(task.cacheDir)
  const disk = diskSpace(folder.path)
  const limits = planLimits(task.settings, disk)
  const lock = task.dryRun ? undefined : takeSweepLock(folder.path)
  try {
    const clock = planClock(loadClock(folder), task.nowMs, limits.maxIdleMs)
    const ledger = createSweepLedger()
    const isStopped = (): boolean => {
      lock?.renew()
      return monitor.isStopped()
    }
    const sweep = { task, folder, disk, limits, clock, ledger, monitor: { ...monitor, isStopped } }
    removeTemporary(sweep)
    keepToBudgets(sweep, removeIdle(sweep))
    if (!task.dryRun) saveClock(folder, clock)
    const { keptBytes, removedInodes: _, reasons, ...counts } = ledger
    return {
      ...counts,
      dryRun: task.dryRun,
      reasons: [...reasons],
      stopped: monitor.isStopped(),
      bytesBefore: keptBytes + ledger.removedBytes,
      bytesAfter: keptBytes,
      seconds: (performance.now() - startedAt) / 1000,
    }
  } finally {
    lock?.release()
  }
}
