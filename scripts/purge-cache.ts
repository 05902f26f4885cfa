import { resolve } from 'node:path'
import { type CacheSweeper, createCacheSweeper } from '../src/adapters/sweep/cache-sweep.ts'
import { SweepRefused } from '../src/adapters/sweep/cache-sweep-folder.ts'
import type { SweepReport } from '../src/adapters/sweep/cache-sweep-ledger.ts'
import { formatByteAmount } from '../src/domain/text/byte-amount.ts'
import { becomeOwner } from './become-owner.ts'
import { type Progress, runWithProgress } from './progress.ts'
import { type PurgeCacheOptions, parsePurgeCache, USAGE } from './purge-cache-options.ts'
import { type Complain, EXIT, runCommand } from './run-command.ts'

/** Another sweep holds the lock, or the folder is not a cache. */
const REFUSED = 3

async function purge(options: PurgeCacheOptions, complain: Complain): Promise<number> {
  becomeOwner(options.cacheDir)
  const sweeper = createCacheSweeper(options)
  // A second signal ends the process without releasing the lock; the next sweep detects the stale lock.
  const swept = await runWithProgress({
    run: () => sweeper.sweep(),
    stop: () => void sweeper.stop(),
    progress: () => progressOf(sweeper),
  })
  return report(swept, options, complain)
}

function report(swept: SweepReport, options: PurgeCacheOptions, complain: Complain): number {
  const failed = swept.failed > 0 || swept.stopped
  if (options.json) process.stdout.write(`${JSON.stringify(swept)}\n`)
  else if (!options.quiet || failed) process.stdout.write(`${summary(swept)}\n`)
  if (swept.reasons.includes('clock_jumped')) {
    complain('the clock jumped forward since the last sweep: idle times are counted from now on')
  }
  if (swept.skipped > 0)
    complain(`skipped ${swept.skipped} links, special files or mounts, which do not belong to the cache`)
  if (swept.failed > 0) complain(`${swept.failed} files could not be read or removed, the first: ${swept.firstFailure}`)
  return failed ? EXIT.failed : EXIT.done
}

function summary(swept: SweepReport): string {
  const removed = swept.dryRun ? 'would remove' : 'removed'
  const count = (files: number): string => files.toLocaleString('en')
  const why = swept.reasons.length > 0 ? ` (${swept.reasons.join(', ')})` : ''
  return (
    `purge-cache: ${swept.stopped ? 'interrupted, ' : ''}${removed} ${count(swept.removedFiles)} of ` +
    `${count(swept.scannedFiles)} files${why}, ${formatByteAmount(swept.removedBytes)} of ` +
    `${formatByteAmount(swept.bytesBefore)}, in ${swept.seconds.toFixed(1)} s`
  )
}

function progressOf(sweeper: CacheSweeper): Progress | undefined {
  const progress = sweeper.progress()
  if (progress === undefined || progress.totalShards === 0) return undefined
  const files = `${progress.scannedFiles.toLocaleString('en')} files, ${progress.removedFiles.toLocaleString('en')} removed`
  return {
    share: Math.min(1, progress.shards / progress.totalShards),
    text: `${progress.pass === 2 ? 'evicting' : 'scanning'}: ${files}`,
  }
}

/** Expiry of a node's cache by cron: see docs/cache.md. The node's own sweep runs the same code. */
await runCommand({
  name: 'purge-cache',
  usage: USAGE,
  parse: (args) => parsePurgeCache(args, process.env, resolve(import.meta.dirname, '..')),
  run: purge,
  explain: (error) => (error instanceof SweepRefused ? { reason: error.reason, exitCode: REFUSED } : undefined),
  failsInJson: ({ json }) => json,
})
