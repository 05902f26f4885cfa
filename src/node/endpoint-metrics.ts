import type { EndpointCalls } from '../service/ports/meter.ts'
import type { StoreReads } from '../service/ports/replicas.ts'
import type { ObjectStore } from '../service/ports/store.ts'
import type { Sample, SampledMetric } from '../telemetry/metrics.ts'

type Calling = Pick<ObjectStore, 'calls'>

/** The sources of these metrics. */
export interface MeasuredEndpoints {
  readonly store: Calling
  /** Undefined for a file store. */
  readonly reads: Pick<StoreReads, 'endpoints' | 'hedges'> | undefined
  readonly elsewhere: {
    /** By their aliases. */
    readonly buckets: ReadonlyMap<string, { readonly bucket: Calling }>
    readonly remotes: Calling
  }
}

/** By the value of the label `endpoint`, which is never a host of a request. No alias has a colon. */
function endpointsOf({
  store,
  reads,
  elsewhere: { buckets, remotes },
}: MeasuredEndpoints): readonly (readonly [string, EndpointCalls])[] {
  const all = [
    ['store', store] as const,
    ...(reads?.endpoints ?? []).flatMap((endpoint) =>
      endpoint.label === 'store' ? [] : [[endpoint.label, endpoint] as const],
    ),
    ...[...buckets].map(([alias, { bucket }]) => [`bucket:${alias}`, bucket] as const),
    ['remote', remotes] as const,
  ]
  return all.flatMap(([endpoint, { calls }]) => (calls === undefined ? [] : [[endpoint, calls] as const]))
}

/** Metrics of the systems that a node calls. */
export function endpointMetrics(measured: MeasuredEndpoints): readonly SampledMetric[] {
  const endpoints = endpointsOf(measured)
  return [
    ...readMetrics(measured),
    {
      type: 'counter',
      name: 'darkroom_endpoint_calls_total',
      help: 'Calls to the store, to each replica ("replica:<n>"), to each bucket ("bucket:<alias>") and to all remote hosts ("remote"), by outcome; retries are not counted',
      labels: ['endpoint', 'outcome'],
      read: () =>
        endpoints.flatMap(([endpoint, { outcomes }]) =>
          Object.entries(outcomes).map(([outcome, value]): Sample => ({ labels: { endpoint, outcome }, value })),
        ),
    },
    {
      type: 'gauge',
      name: 'darkroom_circuit_breaker_open',
      help: '1 if the circuit breaker of the endpoint is open, else 0; of "remote": that of any host requested within the last minute',
      labels: ['endpoint'],
      read: () => endpoints.map(([endpoint, calls]) => ({ labels: { endpoint }, value: Number(calls.isBreakerOpen) })),
    },
  ]
}

function readMetrics({ reads }: MeasuredEndpoints): readonly SampledMetric[] {
  const endpoints = reads?.endpoints ?? []
  return [
    {
      type: 'counter',
      name: 'darkroom_store_reads_total',
      help: 'Reads of originals, mezzanines and aliases that the store ("store") and each replica ("replica:<n>") answered',
      labels: ['endpoint'],
      read: () => endpoints.map(({ label, served }) => ({ labels: { endpoint: label }, value: served })),
    },
    {
      type: 'gauge',
      name: 'darkroom_store_endpoint_avoided',
      help: '1 if reads avoid the endpoint, because its circuit breaker is open or it leaves reads without a response, else 0',
      labels: ['endpoint'],
      read: () => endpoints.map(({ label, isAside }) => ({ labels: { endpoint: label }, value: Number(isAside) })),
    },
    {
      type: 'counter',
      name: 'darkroom_store_hedges_total',
      help: 'Slow reads that were repeated, at the next endpoint or the same',
      read: () => reads?.hedges.sent ?? 0,
    },
    {
      type: 'counter',
      name: 'darkroom_store_hedge_wins_total',
      help: 'Repeated reads that were answered before the first ones',
      read: () => reads?.hedges.won ?? 0,
    },
  ]
}
