import { CLUSTER_ROWS } from './grafana-cluster.ts'
import {
  CALLS,
  FAILED,
  gauge,
  increase,
  NGINX_RENDITIONS,
  nginxRate,
  type PanelRow,
  quantile,
  RENDITIONS,
  REQUESTS,
  rate,
  sum,
} from './grafana-queries.ts'

/** The dashboard, from top to bottom. */
export const PANEL_ROWS: readonly PanelRow[] = [
  {
    title: 'Overview',
    stats: {
      'Nodes not ready': {
        about: 'Nodes whose last poll of the store failed, or that are shutting down',
        unit: 'none',
        query: `count(${gauge('darkroom_ready')} == 0) or vector(0)`,
        red: 1,
      },
      Requests: {
        about: 'Requests answered by the nodes; those that nginx answers by itself are in its log',
        unit: 'reqps',
        query: rate(REQUESTS),
      },
      'Hit ratio': {
        about: 'Hits among the renditions served by the nodes; nginx serves further hits by itself, see its row',
        unit: 'percentunit',
        query: `${rate(RENDITIONS, { where: 'cache_status="hit"' })} / ${rate(RENDITIONS)}`,
      },
      '5xx ratio': {
        about: 'Share of the responses with 5xx',
        unit: 'percentunit',
        query: `${rate(REQUESTS, { where: FAILED })} / ${rate(REQUESTS)}`,
        red: 0.05,
      },
      'Longest expected wait': {
        about: 'Expected queue wait of a render that is requested now, on the node where it is longest',
        unit: 's',
        query: `max(${gauge('darkroom_render_queue_expected_wait_seconds')})`,
        red: 7.5,
      },
      Version: {
        about: 'Nodes by version of Darkroom',
        unit: 'none',
        query: `count by (version) (${gauge('darkroom_build_info')})`,
        legend: '{{version}}',
      },
    },
    graphs: [],
  },
  ...CLUSTER_ROWS,
  {
    title: 'Requests',
    graphs: [
      {
        'Renditions by cache status': {
          about: 'Renditions served by the nodes',
          unit: 'reqps',
          queries: { '{{cache_status}} {{cache}}': rate(RENDITIONS, { by: 'cache_status, cache' }) },
          stacked: true,
        },
        'Requests by status': {
          unit: 'reqps',
          queries: { '{{status}}': `${rate(REQUESTS, { by: 'status' })} > 0` },
          stacked: true,
        },
        'Request latency': {
          about: 'Of requests that reach the nodes',
          unit: 's',
          queries: {
            p50: quantile(0.5, 'darkroom_http_request_duration_seconds'),
            p95: quantile(0.95, 'darkroom_http_request_duration_seconds'),
            p99: quantile(0.99, 'darkroom_http_request_duration_seconds'),
          },
        },
      },
    ],
  },
  {
    title: 'nginx of the nodes, by mtail',
    graphs: [
      {
        'Renditions sent by nginx': {
          about: 'With the hits that nginx serves without the node',
          unit: 'reqps',
          queries: { '{{cache_status}} {{cache}}': nginxRate(NGINX_RENDITIONS, { by: 'cache_status, cache' }) },
          stacked: true,
        },
        'Hit ratio with hits of nginx': {
          about: 'Within five minutes, by node, and of all nodes together',
          unit: 'percentunit',
          queries: {
            'all nodes': 'job:darkroom_nginx_hits:ratio_rate5m',
            '{{instance}}': 'instance:darkroom_nginx_hits:ratio_rate5m',
          },
        },
        'Responses of nginx': {
          unit: 'reqps',
          queries: { '{{route}} {{status}}': nginxRate('darkroom_nginx_requests_total', { by: 'route, status' }) },
          stacked: true,
        },
        'Bytes sent by nginx': {
          unit: 'Bps',
          queries: { '{{route}}': nginxRate('darkroom_nginx_response_bytes_total', { by: 'route' }) },
          stacked: true,
        },
      },
    ],
  },
  {
    title: 'Errors',
    graphs: [
      {
        '5xx by status': {
          unit: 'reqps',
          queries: { '{{status}}': rate(REQUESTS, { by: 'status', where: FAILED }) },
          stacked: true,
        },
        'Rejected requests': {
          about: 'By the nodes; nginx rejects more by itself during overload',
          unit: 'reqps',
          queries: { '{{reason}}': rate('darkroom_rejected_requests_total', { by: 'reason' }) },
          stacked: true,
        },
        'Degraded reasons': {
          about: '/readyz of the node names them',
          unit: 'none',
          queries: {
            '{{instance}}': gauge('darkroom_degraded_reasons'),
            '{{instance}} cache disk': gauge('darkroom_cache_degraded'),
          },
        },
      },
    ],
  },
  {
    title: 'Queue and renders',
    graphs: [
      {
        Queue: {
          unit: 'none',
          queries: {
            'renders queued': sum('darkroom_renders_queued'),
            'renders in progress': sum('darkroom_renders_in_progress'),
            'fetches queued': sum('darkroom_original_fetches_queued'),
            'fetches in progress': sum('darkroom_original_fetches_in_progress'),
            'background tasks': sum('darkroom_background_tasks_pending'),
          },
        },
        'Expected wait': {
          unit: 's',
          queries: { '{{instance}}': gauge('darkroom_render_queue_expected_wait_seconds') },
        },
        'Steps of a miss, p95': {
          unit: 's',
          queries: {
            queue: quantile(0.95, 'darkroom_render_queue_wait_seconds'),
            fetch: quantile(0.95, 'darkroom_original_fetch_duration_seconds'),
            render: quantile(0.95, 'darkroom_render_duration_seconds'),
          },
        },
      },
      {
        'Renders and uploads': {
          unit: 'ops',
          queries: {
            renders: rate('darkroom_render_duration_seconds_count'),
            'fetches of originals': rate('darkroom_original_fetch_duration_seconds_count'),
            uploads: rate('darkroom_uploads_total'),
          },
        },
        'Busy renderers': {
          about: 'On average',
          unit: 'none',
          queries: { busy: rate('darkroom_render_duration_seconds_sum') },
        },
        'Ended renderers': {
          unit: 'none',
          queries: {
            crashes: increase('darkroom_renderer_crashes_total'),
            timeouts: increase('darkroom_renderer_timeouts_total'),
            memory: increase('darkroom_renderer_memory_restarts_total'),
          },
          stacked: true,
        },
      },
    ],
  },
  {
    title: 'Store, buckets and remote hosts',
    graphs: [
      {
        'Calls by endpoint': {
          unit: 'ops',
          queries: { '{{endpoint}}': rate(CALLS, { by: 'endpoint' }) },
          stacked: true,
        },
        'Failed calls': {
          unit: 'ops',
          queries: {
            '{{endpoint}} {{outcome}}': `${rate(CALLS, { by: 'endpoint, outcome', where: 'outcome!~"ok|canceled"' })} > 0`,
          },
          stacked: true,
        },
        'Open circuit breakers': {
          about: 'Nodes on which the circuit breaker of the endpoint is open',
          unit: 'none',
          queries: { '{{endpoint}}': sum('darkroom_circuit_breaker_open', 'endpoint') },
        },
        'Reads by endpoint of the store': {
          unit: 'ops',
          queries: {
            '{{endpoint}}': rate('darkroom_store_reads_total', { by: 'endpoint' }),
            'sent once more': rate('darkroom_store_hedges_total'),
          },
        },
      },
    ],
  },
  {
    title: 'Cache and memory',
    graphs: [
      {
        'Cache size': { unit: 'bytes', queries: { '{{instance}}': gauge('darkroom_cache_bytes') } },
        'Evicted bytes': {
          about: 'Deleted by the sweeps of the nodes',
          unit: 'Bps',
          queries: { bytes: rate('darkroom_cache_evicted_bytes_total') },
        },
        'Evicted files': { unit: 'ops', queries: { files: rate('darkroom_cache_evicted_files_total') } },
        'Time since the last sweep': {
          unit: 's',
          queries: { '{{instance}}': gauge('darkroom_cache_sweep_age_seconds') },
        },
      },
      {
        'Resident memory': {
          unit: 'bytes',
          queries: {
            '{{instance}} node': gauge('process_resident_memory_bytes'),
            '{{instance}} renderers': gauge('darkroom_renderer_resident_memory_bytes'),
          },
        },
        'CPU of the node process': {
          about: 'Renderers are processes of their own',
          unit: 'percentunit',
          queries: { '{{instance}}': rate('process_cpu_seconds_total', { by: 'instance' }) },
        },
        'Event loop lag, p99': { unit: 's', queries: { '{{instance}}': gauge('nodejs_eventloop_lag_p99_seconds') } },
        'Open files': { unit: 'none', queries: { '{{instance}}': gauge('process_open_fds') } },
      },
    ],
  },
  {
    title: 'Events',
    graphs: [
      {
        'Events written and delivered': {
          about: 'Written by uploads, deletions and the intake; delivered to each sink of SINKS_FILE',
          unit: 'ops',
          queries: {
            written: rate('darkroom_outbox_events_total'),
            delivered: rate('darkroom_relay_delivered_events_total'),
          },
        },
        'Age of the oldest event': {
          about: 'That waits for the store, or for a sink',
          unit: 's',
          queries: {
            'store, {{instance}}': gauge('darkroom_outbox_age_seconds'),
            'sinks, {{instance}}': gauge('darkroom_relay_lag_seconds'),
          },
        },
        'Event failures': {
          about:
            'Batches that the store did not take, deliveries that a sink did not accept, messages that were given up',
          unit: 'none',
          queries: {
            store: increase('darkroom_outbox_failures_total'),
            sinks: increase('darkroom_relay_failed_attempts_total'),
            'dead letters': increase('darkroom_relay_dead_letters_total'),
          },
        },
      },
    ],
  },
]
