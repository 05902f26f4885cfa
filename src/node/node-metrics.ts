import type { EventFeed } from '../service/library/event-feed.ts'
import type { EventRelay } from '../service/library/event-relay.ts'
import type { Outbox } from '../service/library/outbox.ts'
import type { CacheKeeper } from '../service/load/cache-keeper.ts'
import type { WorkQueue } from '../service/load/work-queue.ts'
import type { SampledMetric } from '../telemetry/metrics.ts'
import { endpointMetrics, type MeasuredEndpoints } from './endpoint-metrics.ts'
import { type MeasuredPeers, peerMetrics } from './peer-metrics.ts'
import type { NodeReadiness } from './readiness.ts'
import { leftWorkMetrics, type RenditionSources, rendererMetrics, sharingMetrics } from './rendition-metrics.ts'

/** The parts of a node whose values are read at each scrape. */
export interface Measured extends RenditionSources, MeasuredPeers, MeasuredEndpoints {
  /** The versions of Darkroom and of Node.js. */
  readonly versions: { readonly version: string; readonly node: string }
  readonly parts: { readonly pending: number }
  readonly readiness: Pick<NodeReadiness, 'isReady' | 'degraded'>
  readonly keeper: Pick<CacheKeeper, 'usedBytes' | 'degraded' | 'evicted' | 'sweepAgeSeconds'>
  readonly renderQueue: Pick<WorkQueue, 'active' | 'waiting' | 'expectedWaitMs'>
  readonly fetchQueue: Pick<WorkQueue, 'active' | 'waiting'>
  readonly outbox: Pick<Outbox, 'counters'>
  readonly relay: Pick<EventRelay, 'counters'>
  readonly feed: Pick<EventFeed, 'counters'>
}

/** Metrics of a node that are read at each scrape. docs/metrics.md lists them. */
export function nodeMetrics(measured: Measured): readonly SampledMetric[] {
  return [
    ...stateMetrics(measured),
    ...queueMetrics(measured),
    ...rendererMetrics(measured),
    ...cacheMetrics(measured),
    ...sharingMetrics(measured),
    ...leftWorkMetrics(measured),
    ...endpointMetrics(measured),
    ...outboxMetrics(measured),
    ...relayMetrics(measured),
    ...peerMetrics(measured),
  ]
}

function stateMetrics({ versions, parts, readiness }: Measured): readonly SampledMetric[] {
  return [
    {
      type: 'gauge',
      name: 'darkroom_build_info',
      help: 'Always 1; the labels are the version of Darkroom and that of Node.js',
      labels: ['version', 'node'],
      read: () => [{ labels: versions, value: 1 }],
    },
    {
      type: 'gauge',
      name: 'darkroom_ready',
      help: '1 if this node can serve all requests: the last poll of the store for deletions succeeded, and it is not shutting down; else 0',
      read: () => Number(readiness.isReady),
    },
    {
      type: 'gauge',
      name: 'darkroom_degraded_reasons',
      help: 'Reasons for which /readyz reports "degraded"; the response and the log name them',
      read: () => readiness.degraded().length,
    },
    {
      type: 'gauge',
      name: 'darkroom_background_tasks_pending',
      help: 'Background tasks in progress or waiting: mezzanines, requested sizes, image infos, bucket events',
      read: () => parts.pending,
    },
  ]
}

function queueMetrics({ renderQueue, fetchQueue }: Measured): readonly SampledMetric[] {
  return [
    {
      type: 'gauge',
      name: 'darkroom_renders_in_progress',
      help: 'Renders in progress',
      read: () => renderQueue.active,
    },
    {
      type: 'gauge',
      name: 'darkroom_renders_queued',
      help: 'Renders waiting in the queue',
      read: () => renderQueue.waiting,
    },
    {
      type: 'gauge',
      name: 'darkroom_render_queue_expected_wait_seconds',
      help: 'Expected queue wait of a render that is requested now',
      read: () => renderQueue.expectedWaitMs / 1000,
    },
    {
      type: 'gauge',
      name: 'darkroom_original_fetches_in_progress',
      help: 'Fetches of originals in progress',
      read: () => fetchQueue.active,
    },
    {
      type: 'gauge',
      name: 'darkroom_original_fetches_queued',
      help: 'Fetches of originals waiting in the queue',
      read: () => fetchQueue.waiting,
    },
  ]
}

function cacheMetrics({ keeper }: Measured): readonly SampledMetric[] {
  return [
    {
      type: 'gauge',
      name: 'darkroom_cache_bytes',
      help: 'Disk space used by the rendition cache',
      read: () => keeper.usedBytes,
    },
    {
      type: 'gauge',
      name: 'darkroom_cache_degraded',
      help: '1 if the cache disk has refused a write within the last minute (full or read-only), else 0',
      read: () => Number(keeper.degraded),
    },
    {
      type: 'counter',
      name: 'darkroom_cache_evicted_files_total',
      help: 'Files of the cache deleted by the sweeps of this node, temporary files included',
      read: () => keeper.evicted.files,
    },
    {
      type: 'counter',
      name: 'darkroom_cache_evicted_bytes_total',
      help: 'Disk space of the files deleted by the sweeps of this node',
      read: () => keeper.evicted.bytes,
    },
    {
      type: 'gauge',
      name: 'darkroom_cache_sweep_age_seconds',
      help: 'Time since the last successful sweep of the cache, or since the start before the first one',
      read: () => keeper.sweepAgeSeconds,
    },
  ]
}

function relayMetrics({ relay }: Measured): readonly SampledMetric[] {
  return [
    {
      type: 'gauge',
      name: 'darkroom_relay_holder',
      help: '1 on the node that delivers events to the sinks of SINKS_FILE, else 0',
      read: () => Number(relay.counters.isHolder),
    },
    {
      type: 'counter',
      name: 'darkroom_relay_delivered_events_total',
      help: 'Events that this node has delivered, counted for each sink',
      read: () => relay.counters.delivered,
    },
    {
      type: 'counter',
      name: 'darkroom_relay_failed_attempts_total',
      help: 'Deliveries of this node that a sink did not accept',
      read: () => relay.counters.failedAttempts,
    },
    {
      type: 'counter',
      name: 'darkroom_relay_dead_letters_total',
      help: 'Messages that this node gave up and put below relay/dead/ in the store',
      read: () => relay.counters.deadLetters,
    },
    {
      type: 'gauge',
      name: 'darkroom_relay_lag_seconds',
      help: 'Age of the oldest event that waits for its delivery by this node; 0 if none does',
      read: () => relay.counters.lagSeconds,
    },
  ]
}

function outboxMetrics({ outbox, feed }: Measured): readonly SampledMetric[] {
  return [
    {
      type: 'counter',
      name: 'darkroom_outbox_events_total',
      help: 'Events of stored and deleted images that this node has written to the store',
      read: () => outbox.counters.events,
    },
    {
      type: 'counter',
      name: 'darkroom_outbox_batches_total',
      help: 'Batches of events that this node has written to the store, each by one put',
      read: () => outbox.counters.batches,
    },
    {
      type: 'counter',
      name: 'darkroom_outbox_failures_total',
      help: 'Batches of events that could not be written: their uploads and deletions were answered 503',
      read: () => outbox.counters.failures,
    },
    {
      type: 'gauge',
      name: 'darkroom_outbox_events_waiting',
      help: 'Events that are being written or wait for their batch',
      read: () => outbox.counters.waiting,
    },
    {
      type: 'gauge',
      name: 'darkroom_outbox_age_seconds',
      help: 'Time for which the oldest of these events has waited',
      read: () => outbox.counters.oldestSeconds,
    },
    {
      type: 'gauge',
      name: 'darkroom_feed_requests_waiting',
      help: 'Requests to GET /events that wait for new events',
      read: () => feed.counters.waiting,
    },
    {
      type: 'counter',
      name: 'darkroom_feed_damaged_batches_total',
      help: 'Batches of events that this node found damaged in the store; their events were restored',
      read: () => feed.counters.damagedBatches,
    },
    {
      type: 'counter',
      name: 'darkroom_feed_incomplete_batches_total',
      help: 'Damaged batches of which some events could not be restored: compare the consumers with GET /images',
      read: () => feed.counters.incompleteBatches,
    },
  ]
}
