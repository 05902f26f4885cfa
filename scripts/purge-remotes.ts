import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { bucketVariables } from '../src/config/buckets-file.ts'
import { type Config, ConfigError, loadConfig } from '../src/config/env.ts'
import { REMOTE_PREFIXES } from '../src/domain/stored/store-layout.ts'
import { formatByteAmount } from '../src/domain/text/byte-amount.ts'
import { createStore } from '../src/node/outside.ts'
import { createRemotePurge, type RemotePurge, type RemotePurgeReport } from '../src/service/library/remote-purge.ts'
import { becomeOwner } from './become-owner.ts'
import { lowerPriority } from './lower-priority.ts'
import { type PurgeRemotesOptions, parseCommand, USAGE } from './purge-remotes-options.ts'

const EXIT = { done: 0, failed: 1, usage: 2 } as const
const BAR_WIDTH = 30

/** Expiry of remote images by cron: see docs/remote.md. */
async function main(): Promise<number> {
  const command = parseCommand(process.argv.slice(2))
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
    return await purge(command.options)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    if (command.options.json) process.stdout.write(`${JSON.stringify({ error: 'failed', message })}\n`)
    complain(message)
    return error instanceof ConfigError ? EXIT.usage : EXIT.failed
  }
}

async function purge(options: PurgeRemotesOptions): Promise<number> {
  const began = performance.now()
  // Paths in the settings are relative to the folder of Darkroom, as for the node.
  process.chdir(resolve(import.meta.dirname, '..'))
  const config = loadConfig(process.env, await bucketVariables(process.env['BUCKETS_FILE']))
  const maxBytes = options.maxBytes ?? config.REMOTE_MAX_BYTES
  useFolder(config)
  lowerPriority()
  const store = await createStore(config)
  const remotes = createRemotePurge({ store, maxBytes, dryRun: options.dryRun, now: () => Date.now() })
  try {
    const purged = await runWithProgress(remotes)
    return report(purged, { ...options, seconds: (performance.now() - began) / 1000 })
  } finally {
    store.close()
  }
}

/** A missing folder is a mistake: unlike the node, this command does not create a store. */
function useFolder({ STORE }: Config): void {
  if (!STORE.startsWith('file:')) return
  const folder = STORE.slice('file:'.length)
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new ConfigError(
      `STORE: the folder ${resolve(folder)} does not exist; run this command with the settings of the node`,
    )
  }
  becomeOwner(folder)
}

async function runWithProgress(remotes: RemotePurge): Promise<RemotePurgeReport> {
  const stopping = new AbortController()
  // A second signal ends the process at once; the next run deletes the rest.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort())
  const redraw = process.stderr.isTTY ? setInterval(() => drawProgress(remotes), 200) : undefined
  try {
    return await remotes.run(stopping.signal)
  } finally {
    clearInterval(redraw)
    if (redraw !== undefined) process.stderr.write('\r\x1b[K')
  }
}

function report(purged: RemotePurgeReport, options: PurgeRemotesOptions & { readonly seconds: number }): number {
  const hasFailed = purged.failed > 0 || purged.stopped
  if (options.json) process.stdout.write(`${JSON.stringify({ ...purged, seconds: options.seconds })}\n`)
  else if (!options.quiet || hasFailed) process.stdout.write(`${summary(purged, options.seconds)}\n`)
  if (purged.failed > 0) complain(`could not be deleted: ${purged.failed} images, the first: ${purged.firstFailure}`)
  return hasFailed ? EXIT.failed : EXIT.done
}

function summary(purged: RemotePurgeReport, seconds: number): string {
  const count = (images: number): string => images.toLocaleString('en')
  return (
    `purge-remotes: ${purged.stopped ? 'interrupted, ' : ''}${purged.dryRun ? 'would delete' : 'deleted'} ` +
    `${count(purged.removedImages)} of ${count(purged.images)} images, ${formatByteAmount(purged.removedBytes)} of ` +
    `${formatByteAmount(purged.bytesBefore)}, in ${seconds.toFixed(1)} s`
  )
}

function drawProgress(remotes: RemotePurge): void {
  const { pass, prefixes, images, removedImages } = remotes.progress()
  const done = prefixes / REMOTE_PREFIXES.length
  const bar = '#'.repeat(Math.round(done * BAR_WIDTH)).padEnd(BAR_WIDTH, '-')
  const counts = `${images.toLocaleString('en')} images, ${removedImages.toLocaleString('en')} deleted`
  process.stderr.write(
    `\r[${bar}] ${Math.floor(done * 100)} % ${pass === 2 ? 'deleting' : 'counting'}: ${counts}\x1b[K`,
  )
}

function complain(message: string): void {
  process.stderr.write(`purge-remotes: ${message}\n`)
}

process.exitCode = await main()
