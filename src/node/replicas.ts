import { REPLICA_SETTINGS } from '../adapters/s3/s3-failure.ts'
import type { S3StoreSettings } from '../adapters/s3/s3-store.ts'
import type { Config } from '../config/env.ts'
import type { ReplicaSettings } from '../config/replicas.ts'
import type { Meter } from '../service/ports/meter.ts'
import type { StoreReads } from '../service/ports/replicas.ts'
import type { ObjectStore } from '../service/ports/store.ts'
import { s3Settings } from './outside.ts'
import { type Repeating, repeating } from './parts.ts'

const PROBE_MS = 1000

/** A replica of the store. */
export interface Replica {
  /** `replica:<n>`, counted from 1 in the order of STORE_REPLICAS. */
  readonly label: string
  /** Its bucket and endpoint, for messages. */
  readonly place: string
  readonly store: ObjectStore
}

/** Where reads go. The label of the primary is `store`. */
export interface Endpoints {
  readonly replicas: readonly Replica[]
  /** Nearest first, with the primary. */
  readonly inOrder: readonly { readonly label: string; readonly store: ObjectStore }[]
}

/**
 * @param config STORE is a bucket.
 * @param primary Its store, which is the first endpoint unless STORE_REPLICAS has "primary" elsewhere.
 */
export async function openEndpoints(config: Config, primary: ObjectStore): Promise<Endpoints> {
  const { createS3Store } = await import('../adapters/s3/s3-store.ts')
  const settings = config.STORE_REPLICAS.filter((entry) => entry !== 'primary')
  const replicas = settings.map((entry, index): Replica => {
    const store = createS3Store(replicaSettings(config, entry))
    const place = `s3://${entry.bucket} at ${entry.endpoint ?? 'AWS'}`
    return { label: `replica:${index + 1}`, place, store }
  })
  const before = Math.max(0, config.STORE_REPLICAS.indexOf('primary'))
  return { replicas, inOrder: replicas.toSpliced(before, 0, { label: 'store', place: config.STORE, store: primary }) }
}

function replicaSettings(config: Config, { pathStyle, profile, ...entry }: ReplicaSettings): S3StoreSettings {
  const { endpoint: _endpoint, credentials, ...primary } = s3Settings(config)
  return {
    ...primary,
    ...entry,
    ...(pathStyle !== undefined && { forcePathStyle: pathStyle }),
    ...(profile !== undefined ? { profile } : credentials && { credentials }),
    names: REPLICA_SETTINGS,
  }
}

/** The store of a node: its reads repeat slow ones, and use the replicas. */
export interface NodeStore {
  readonly store: ObjectStore
  /** Undefined for a file store. */
  readonly reads: StoreReads | undefined
}

/** @param primary The store of STORE. The caller closes the result, and with it this store. */
export async function readingNearest(config: Config, primary: ObjectStore): Promise<NodeStore> {
  if (config.STORE.startsWith('file:')) return { store: primary, reads: undefined }
  const { createReplicatedStore } = await import('../adapters/replicas/replicated-store.ts')
  const { inOrder } = await openEndpoints(config, primary)
  const store = createReplicatedStore({ primary, endpoints: inOrder })
  return { store, reads: store }
}

/** Probes the endpoints that reads avoid, and reports changes. */
export function watchEndpoints(reads: StoreReads, meter: Pick<Meter, 'trouble'>): Repeating {
  let aside = new Set<string>()
  return repeating(PROBE_MS, async (signal) => {
    const labels = reads.endpoints.filter(({ isAside }) => isAside).map(({ label }) => label)
    const fresh = labels.filter((label) => !aside.has(label))
    if (fresh.length > 0) meter.trouble(`Reads avoid ${fresh.join(' and ')}, which does not respond`, undefined)
    aside = new Set(labels)
    await reads.probe(signal).catch(() => signal.throwIfAborted())
  })
}
