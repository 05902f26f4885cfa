import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** A metric whose value is read at each scrape. Each part of the node declares its own. */
export interface SampledMetric {
  readonly type: 'gauge' | 'counter'
  readonly name: `darkroom_${string}`
  readonly help: string
  /** Names; their values come from closed sets. Default: none. */
  readonly labels?: readonly string[]
  readonly read: () => number | readonly Sample[]
}

export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** Why a request was rejected: see the metric. */
const REJECTIONS = ['shed', 'queue', 'rate_limit'] as const
export type Rejection = (typeof REJECTIONS)[number]

interface CounterOptions<T extends string> {
  readonly name: string
  readonly help: string
  readonly labelNames: readonly T[]
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Gauges of prom-client whose names end like those of counters; the same gauges exist by type, without that ending. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total']

/** Every metric of the service, in one registry. Names and help texts pass `promtool check metrics`. */
export function createMetrics() {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  for (const name of MISNAMED) registry.removeSingleMetric(name)
  const registers = [registry]
  /** @param series Start at zero, so that `rate` and `increase` see the first event as a change. */
  function counter<T extends string>(
    options: CounterOptions<T>,
    series: readonly Record<NoInfer<T>, string | number>[],
  ) {
    const counted = new Counter({ ...options, registers })
    for (const labels of series) counted.inc(labels, 0)
    return counted
  }
  const histogram = (name: string, help: string) => new Histogram({ name, help, registers, buckets: SECONDS })
  return {
    registry,
    observe: (metrics: readonly SampledMetric[]) => observeSampled(registry, metrics),
    requests: counter(
      {
        name: 'darkroom_http_requests_total',
        help: 'HTTP requests answered, by method and status code; 499 if the client disconnected first',
        labelNames: ['method', 'status'],
      },
      ['GET', 'HEAD', 'POST', 'DELETE'].map((method) => ({ method, status: 500 })),
    ),
    renditions: counter(
      {
        name: 'darkroom_renditions_total',
        help: 'Renditions served, by cache status; a hit came from the memory or disk cache named by the label "cache"',
        labelNames: ['cache_status', 'cache'],
      },
      [
        { cache_status: 'hit', cache: 'memory' },
        { cache_status: 'hit', cache: 'disk' },
        { cache_status: 'coalesced', cache: 'none' },
        { cache_status: 'miss', cache: 'none' },
      ],
    ),
    rejections: counter(
      {
        name: 'darkroom_rejected_requests_total',
        help:
          'Requests rejected by the node because of its load or a limit: "shed" before any work, "queue" for lack of a place or time ' +
          'in a queue (503 overloaded), "rate_limit" (429). Rejections by nginx are in its log only',
        labelNames: ['reason'],
      },
      REJECTIONS.map((reason) => ({ reason })),
    ),
    uploads: counter(
      {
        name: 'darkroom_uploads_total',
        help: 'Uploads accepted; created is "false" if the store already held the same bytes',
        labelNames: ['created'],
      },
      [{ created: 'true' }, { created: 'false' }],
    ),
    renderSeconds: histogram('darkroom_render_duration_seconds', 'Time to decode, transform and encode an image'),
    fetchSeconds: histogram('darkroom_original_fetch_duration_seconds', 'Time to fetch an original from the store'),
    queueWaitSeconds: histogram('darkroom_render_queue_wait_seconds', 'Time that a render waited in the queue'),
    requestSeconds: histogram(
      'darkroom_http_request_duration_seconds',
      'Time from receiving a request to the end of its response',
    ),
  }
}

export type Metrics = ReturnType<typeof createMetrics>

function observeSampled(registry: Registry, metrics: readonly SampledMetric[]): void {
  for (const { type, name, help, labels = [], read } of metrics) {
    const collect = () => {
      const values = read()
      const samples = typeof values === 'number' ? [{ labels: {}, value: values }] : values
      metric.reset()
      for (const { labels: names, value } of samples) metric.inc(names, value)
    }
    const options = { name, help, labelNames: [...labels], registers: [registry], collect }
    const metric: Gauge | Counter = type === 'gauge' ? new Gauge(options) : new Counter(options)
  }
}
