import { planClock, planLimits } from '../../domain/sweep/sweep-plan.ts'
import { diskSpace, loadClock, openCacheFolder, saveClock } from './cache-sweep-folder.ts'
import { createSweepLedger, type SweepReport } from './cache-sweep-ledger.ts'
import { takeSweepLock } from './cache-sweep-lock.ts'
import { keepToBudgets, removeIdle, removeTemporary, type SweepMonitor, type SweepTask } from './cache-sweep-passes.ts'

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
