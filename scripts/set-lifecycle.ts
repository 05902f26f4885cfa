import { ConfigError } from '../src/config/env.ts'
import { LIFECYCLE_RULE, lifecycleDays, RENDITIONS_PREFIX } from '../src/domain/stored/shared-rendition.ts'
import { openStoreLifecycle } from '../src/node/outside.ts'
import type { ReportOptions } from './command-line.ts'
import { explainNodeFailure, loadNodeSettings } from './node-settings.ts'
import { EXIT, runCommand } from './run-command.ts'
import { parseSetLifecycle, USAGE } from './set-lifecycle-options.ts'

const TIMEOUT_MS = 30_000

async function setLifecycle({ dryRun, json, quiet }: ReportOptions): Promise<number> {
  const config = await loadNodeSettings()
  const lifecycle = await openStoreLifecycle(config)
  if (lifecycle === undefined) {
    throw new ConfigError('STORE: is a folder, in which the nodes delete old renditions themselves')
  }
  const rule = { id: LIFECYCLE_RULE, prefix: RENDITIONS_PREFIX, days: lifecycleDays(config.SHARE_RENDITIONS_DAYS) }
  const signal = AbortSignal.timeout(TIMEOUT_MS)
  try {
    const isChanged = dryRun
      ? (await lifecycle.expiryDays(rule.prefix, signal)) !== rule.days
      : await lifecycle.setExpiry(rule, signal)
    const outcome = isChanged ? (dryRun ? 'would be set' : 'is set') : 'was set already'
    if (json) process.stdout.write(`${JSON.stringify({ ...rule, dryRun, changed: isChanged })}\n`)
    else if (!quiet)
      process.stdout.write(`set-lifecycle: expiry of ${rule.prefix} after ${rule.days} days ${outcome}\n`)
  } finally {
    lifecycle.close()
  }
  return EXIT.done
}

/** See docs/cache.md. */
await runCommand({
  name: 'set-lifecycle',
  usage: USAGE,
  parse: parseSetLifecycle,
  run: setLifecycle,
  explain: explainNodeFailure,
  failsInJson: ({ json }) => json,
})
