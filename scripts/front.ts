import { once } from 'node:events'
import { createHaproxySocket } from '../src/adapters/haproxy/haproxy-socket.ts'
import { createStore } from '../src/node/outside.ts'
import { delay, repeating } from '../src/node/parts.ts'
import { writeMetrics } from './doctor-metrics.ts'
import { createDnsSource, createRegistrySource, type MemberSource } from './front-members.ts'
import { frontMetrics } from './front-metrics.ts'
import { type FrontOptions, parseFront, USAGE } from './front-options.ts'
import { createFrontPasses, type FrontPasses } from './front-passes.ts'
import { explainNodeFailure, loadNodeSettings } from './node-settings.ts'
import { type Complain, EXIT, runCommand } from './run-command.ts'

/** HAProxy may have been restarted, and have no servers. */
const PASS_MS = 250
/** For `--once`: the first checks, and the ends of requests. */
const MOST_PASSES = 200
const SOON_MS = 100
const METRICS_MS = 5000

async function front(options: FrontOptions, complain: Complain): Promise<number> {
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort())
  const { source, close } = await openSource(options)
  const passes = createFrontPasses({
    source,
    haproxy: createHaproxySocket(options.socket),
    keepMs: options.once ? 0 : options.keepMs,
    now: () => performance.now(),
    complain,
  })
  try {
    return options.once
      ? await untilInStep(passes, stopping.signal)
      : await forever(passes, options, complain, stopping.signal)
  } finally {
    close()
  }
}

async function openSource({ dns, keepMs }: FrontOptions): Promise<{ source: MemberSource; close: () => void }> {
  const keeping = { keepMs, now: () => performance.now() }
  if (dns) return { source: createDnsSource(dns, keeping), close: () => {} }
  const store = await createStore(await loadNodeSettings(), { readOnly: true })
  return { source: createRegistrySource(store, keeping), close: () => store.close() }
}

async function untilInStep(passes: FrontPasses, signal: AbortSignal): Promise<number> {
  await passes.query(signal)
  for (let count = 0; count < MOST_PASSES && !signal.aborted; count += 1) {
    if (!(await passes.pass(signal))) break
    await delay(SOON_MS, signal)
  }
  return passes.isInStep() ? EXIT.done : EXIT.failed
}

async function forever(
  passes: FrontPasses,
  { intervalMs, metricsFile }: FrontOptions,
  complain: Complain,
  signal: AbortSignal,
): Promise<number> {
  const passing = repeating(PASS_MS, async (stop) => {
    while ((await passes.pass(stop)) && !stop.aborted) await delay(SOON_MS, stop)
  })
  const querying = repeating(intervalMs, async (stop) => {
    await passes.query(stop)
    passing.wake()
  })
  const measuring = repeating(METRICS_MS, async () => {
    if (metricsFile === undefined) return
    const text = frontMetrics(passes.state(), Date.now())
    await writeMetrics(metricsFile, text).catch((error: unknown) => complain(`--metrics: ${String(error)}`))
  })
  const started = [querying, passing, measuring].map((each) => each.start())
  if (!signal.aborted) await once(signal, 'abort')
  await Promise.all([querying, passing, measuring].map((each) => each.stop()))
  await Promise.all(started)
  return EXIT.done
}

/** The servers of a HAProxy, in step with the nodes: see docs/haproxy.md. */
await runCommand({ name: 'front', usage: USAGE, parse: parseFront, run: front, explain: explainNodeFailure })
