import { randomBytes } from 'node:crypto'
import { createStore } from '../src/node/outside.ts'
import { type NightlyOptions, reconcileNow } from '../src/service/library/nightly.ts'
import { createOutbox } from '../src/service/library/outbox.ts'
import { createReconciliation } from '../src/service/library/reconciliation.ts'
import { becomeOwner } from './become-owner.ts'
import { lowerPriority } from './lower-priority.ts'
import { explainNodeFailure, loadNodeSettings } from './node-settings.ts'
import { parseReconcile, type ReconcileOptions, USAGE } from './reconcile-options.ts'
import { type Complain, EXIT, runCommand } from './run-command.ts'

const DAY_MS = 86_400_000
/** The process ends by its signals: a repetition reports the same events. */
const never = new AbortController().signal

async function reconcile(options: ReconcileOptions, complain: Complain): Promise<number> {
  const config = await loadNodeSettings()
  if (config.STORE.startsWith('file:')) becomeOwner(config.STORE.slice('file:'.length))
  lowerPriority()
  const store = await createStore(config)
  const meter = { trouble: complain }
  const outbox = createOutbox({ store, meter, now: Date.now, node: randomBytes(4).toString('hex') })
  const reconciliation = createReconciliation({ store, outbox, meter })
  const nightly: NightlyOptions = {
    store,
    reconciliation,
    // The report says it.
    meter: { trouble: () => {} },
    now: Date.now,
    keepMs: config.EVENTS_KEEP_DAYS * DAY_MS,
  }
  try {
    const report = await reconcileNow(nightly, options, never)
    const { images, checked, missing } = report
    const count = (value: number) => value.toLocaleString('en')
    const effect = options.dryRun ? 'without an event' : 'without an event, which are reported now'
    const summary = `reconcile: ${count(checked)} of ${count(images)} images checked; ${count(missing)} ${effect}`
    if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`)
    else if (!options.quiet) process.stdout.write(`${summary}\n`)
  } finally {
    store.close()
  }
  return EXIT.done
}

/** See docs/events.md. */
await runCommand({
  name: 'reconcile',
  usage: USAGE,
  parse: parseReconcile,
  run: reconcile,
  explain: explainNodeFailure,
  failsInJson: ({ json }) => json,
})
