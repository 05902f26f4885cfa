import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Config, ConfigError } from '../src/config/env.ts'
import { REMOTE_PREFIXES } from '../src/domain/stored/store-layout.ts'
import { formatByteAmount } from '../src/domain/text/byte-amount.ts'
import { createStore } from '../src/node/outside.ts'
import { createRemotePurge, type RemotePurge, type RemotePurgeReport } from '../src/service/library/remote-purge.ts'
import { becomeOwner } from './become-owner.ts'
import { lowerPriority } from './lower-priority.ts'
import { explainNodeFailure, loadNodeSettings } from './node-settings.ts'
import { type Progress, runWithProgress } from './progress.ts'
import { type PurgeRemotesOptions, parsePurgeRemotes, USAGE } from './purge-remotes-options.ts'
import { type Complain, EXIT, runCommand } from './run-command.ts'

async function purge(options: PurgeRemotesOptions, complain: Complain): Promise<number> {
  const began = performance.now()
  const config = await loadNodeSettings()
  const maxBytes = options.maxBytes ?? config.REMOTE_MAX_BYTES
  useFolder(config)
  lowerPriority()
  const store = await createStore(config)
  const remotes = createRemotePurge({ store, maxBytes, dryRun: options.dryRun, now: () => Date.now() })
  const stopping = new AbortController()
  try {
    const purged = await runWithProgress({
      run: () => remotes.run(stopping.signal),
      stop: () => stopping.abort(),
      progress: () => progressOf(remotes),
    })
    return report(purged, { ...options, seconds: (performance.now() - began) / 1000 }, complain)
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

type TimedOptions = PurgeRemotesOptions & { readonly seconds: number }

function report(purged: RemotePurgeReport, options: TimedOptions, complain: Complain): number {
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

function progressOf(remotes: RemotePurge): Progress {
  const { pass, prefixes, images, removedImages } = remotes.progress()
  const counts = `${images.toLocaleString('en')} images, ${removedImages.toLocaleString('en')} deleted`
  return { share: prefixes / REMOTE_PREFIXES.length, text: `${pass === 2 ? 'deleting' : 'counting'}: ${counts}` }
}

/** Expiry of remote images by cron: see docs/remote.md. */
await runCommand({
  name: 'purge-remotes',
  usage: USAGE,
  parse: parsePurgeRemotes,
  run: purge,
  explain: explainNodeFailure,
  failsInJson: ({ json }) => json,
})
