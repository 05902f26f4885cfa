import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadConfig } from '../../src/config/env.ts'
import { createStore } from '../../src/node/outside.ts'
import type { ObjectStore } from '../../src/service/ports/store.ts'
import { createRandom } from '../pictures/seeded-random.ts'
import type { Scope } from '../processes/scope.ts'
import { TOKEN } from '../requests/token.ts'
import { type FaultProxy, startFaultProxy } from '../servers/fault-proxy.ts'
import { type Indexer, startIndexer } from '../servers/indexer.ts'
import { newStore, temporaryFolder } from '../servers/site.ts'
import { type RelayNodes, startRelayNodes } from './relay-nodes.ts'
import { numberOf } from './trial-record.ts'
import { startUploaders, type Uploaders } from './uploaders.ts'

export interface EventsTrialOptions {
  readonly events: number
  readonly seed: number
  readonly store: 's3' | 'file'
  /** SIGKILLs of writers, and the same number of nodes. */
  readonly kills: number
  /** SIGSTOPs of the node that delivers. */
  readonly stops: number
  readonly outageSeconds: number
  readonly downSeconds: number
  readonly rateSeconds: number
  readonly say: (line: string) => void
}

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
export const WRITERS = 2
export const NODES = 2
/** Events of each writer that wait for their acknowledgement. */
export const IN_FLIGHT = 64

/** Everything that runs during the trial. */
export interface EventsStage {
  readonly options: EventsTrialOptions
  readonly random: () => number
  readonly env: Readonly<Record<string, string>>
  /** Past the proxy. */
  readonly store: ObjectStore
  readonly proxy: FaultProxy | undefined
  readonly indexer: Indexer
  readonly nodes: RelayNodes
  readonly uploaders: Uploaders
  /** Numbers of the images that have records. */
  readonly recorded: Set<number>
  readonly recording: { isOn: boolean }
  readonly lags: Lags
}

/** From the acknowledgement of an event to its first delivery. */
interface Lags {
  acknowledged(number: number): void
  delivered(number: number): void
  /** Milliseconds, of the events that were delivered since the last call. */
  take(): { readonly median: number; readonly most: number }
}

function createLags(events: number): Lags {
  const acknowledgedAt = new Float64Array(events)
  let lags: number[] = []
  return {
    acknowledged: (number) => void (acknowledgedAt[number] = performance.now()),
    delivered(number) {
      // A webhook may be faster than the acknowledgement.
      const since = acknowledgedAt[number] ?? 0
      if (since >= 0) lags.push(since === 0 ? 0 : performance.now() - since)
      acknowledgedAt[number] = -1
    },
    take() {
      const sorted = Float64Array.from(lags).toSorted()
      lags = []
      return { median: sorted[sorted.length >> 1] ?? 0, most: sorted.at(-1) ?? 0 }
    },
  }
}

export async function setStage(scope: Scope, options: EventsTrialOptions): Promise<EventsStage> {
  const folder = await temporaryFolder(scope)
  const lags = createLags(options.events)
  const recording = { isOn: false }
  const recorded = new Set<number>()
  const indexer = await startIndexer(scope, SECRET, (subject) => lags.delivered(numberOf(subject)))
  const direct = options.store === 's3' ? (await newStore()).env : { STORE: `file:${join(folder, 'data')}` }
  const proxy = options.store === 's3' ? await startFaultProxy({ target: String(direct['S3_ENDPOINT']) }) : undefined
  if (proxy) scope.after(proxy.stop)
  const sinks = join(folder, 'sinks.yaml')
  await writeFile(sinks, `sinks:\n  indexer:\n    url: ${indexer.url}\n    secret: $INDEXER_SECRET\n`)
  const storeEnv = { ...direct, ...(proxy && { S3_ENDPOINT: proxy.endpoint }) }
  const env = {
    ...storeEnv,
    SINKS_FILE: sinks,
    INDEXER_SECRET: SECRET,
    SINK_ALLOW_ADDRESSES: '127.0.0.1',
    UPLOAD_TOKENS: TOKEN,
    LOG_LEVEL: 'warn',
  }
  const store = await createStore(loadConfig(direct))
  scope.after(() => store.close())
  const nodes = await startRelayNodes(scope, NODES, env)
  const uploaders = startUploaders(scope, {
    writers: WRITERS,
    inFlight: IN_FLIGHT,
    env: storeEnv,
    onAcknowledged: lags.acknowledged,
    hasRecord(number) {
      if (recording.isOn) recorded.add(number)
      return recording.isOn
    },
  })
  const random = createRandom(options.seed)
  return { options, random, env, store, proxy, indexer, nodes, uploaders, recorded, recording, lags }
}
