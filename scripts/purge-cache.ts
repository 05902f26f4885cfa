import { resolve } from 'node:path'
import { type CacheSweeper, createCacheSweeper } from '../src/adapters/sweep/cache-sweep.ts'
import { SweepRefused } from '../src/adapters/sweep/cache-sweep-folder.ts'
import type { SweepReport } from '../src/adapters/sweep/cache-sweep-ledger.ts'
import { formatByteAmount } from '../src/domain/text/byte-amount.ts'
import { becomeOwner } from './become-owner.ts'
import { type PurgeOptions, parseCommand, USAGE } from './purge-cache-options.ts'

const EXIT = { done: 0, failed: 1, usage: 2, refused: 3 } as const
const BAR_WIDTH = 30

/** Expiry of a node's cache by cron: see docs/cache.md. The node's own sweep runs the same code. */
async function main(): Promise<number> {
  const command = parseCommand(process.argv.slice(2), process.env, resolve(import.meta.dirname, '..'))
  if (command.kind === 'help') {
    process.stdout.write(USAGE)
    return EXIT.done
  }
  if (command.kind === 'usage') {
    for (const problem of command.problems) complain(problem)
    complain('--help lists the options')
    return EXIT.usage
  }
  try {
    becomeOwner(command.options.cacheDir)
    return report(await purge(command.options), command.options)
  } catch (cause) {
    const reason = cause instanceof SweepRefused ? cause.reason : 'failed'
    const message = cause instanceof Error ? cause.message : String(cause)
    if (command.options.json) process.stdout.write(`${JSON.stringify({ error: reason, message })}\n`)
    complain(message)
    return reason === 'failed' ? EXIT.failed : EXIT.refused
  }
}

async function purge(options: PurgeOptions): Promise<SweepReport> {
  const sweeper = createCacheSweeper(options)
  // A second signal ends the process at once; the next sweep detects the stale lock.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void sweeper.stop())
  const redraw = process.stderr.isTTY ? setInterval(() => drawProgress(sweeper), 200) : undefined
  try {
    return await sweeper.sweep()
  } finally {
    clearInterval(redraw)
    if (redraw !== undefined) process.stderr.write('\r\x1b[K')
  }
}

function report(swept: SweepReport, options: PurgeOptions): number {
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

function drawProgress(sweeper: CacheSweeper): void {
  const progress = sweeper.progress()
  if (progress === undefined || progress.totalShards === 0) return
  const done = Math.min(1, progress.shards / progress.totalShards)
  const bar = '#'.repeat(Math.round(done * BAR_WIDTH)).padEnd(BAR_WIDTH, '-')
  const files = `${progress.scannedFiles.toLocaleString('en')} files, ${progress.removedFiles.toLocaleString('en')} removed`
  const what = progress.pass === 2 ? 'evicting' : 'scanning'
  process.stderr.write(`\r[${bar}] ${Math.floor(done * 100)} % ${what}: ${files}\x1b[K`)
}

function complain(message: string): void {
  process.stderr.write(`purge-cache: ${message}\n`)
}

process.exitCode = await main()
