import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** Values that are read at each scrape. */
export interface MetricSources {
  readonly renderQueue: { readonly active: number; readonly waiting: number; readonly expectedWaitMs: number }
  readonly mezzanines: { readonly pending: number }
  readonly primes: { readonly pending: number }
  readonly infos: { readonly pending: number }
  readonly events: { readonly pending: number }
  readonly renderers: {
    readonly counters: {
      readonly crashes: number
      readonly timeouts: number
      readonly replaced: number
      readonly residentBytes: number
    }
  }
  readonly fetchQueue: { readonly active: number; readonly waiting: number }
  /** Disk use of the cache in bytes: the result of the last sweep plus the bytes written since. */
  readonly cacheBytes: () => number
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Gauges of prom-client whose names end like a counter's; the same gauges exist by type, without that ending. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total']

/** Every metric of the service, in one registry. Names and help texts pass `promtool check metrics`. */
export function createMetrics() {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  for (const name of MISNAMED) registry.removeSingleMetric(name)
  const registers = [registry]
  const histogram = (name: string, help: string) => new Histogram({ name, help, registers, buckets: SECONDS })
  return {
    registry,
    observe: (sources: MetricSources) => observeSources(registry, sources),
    requests: new Counter({
      name: 'darkroom_http_requests_total',
      help: 'HTTP requests answered, by method and status code; 499 if the client disconnected first',
      labelNames: ['method', 'status'],
      registers,
    }),
    renditions: new Counter({
      name: 'darkroom_renditions_total',
      help: 'Renditions served, by cache status; a hit came from the memory or disk cache named by the label "cache"',
      labelNames: ['cache_status', 'cache'],
      registers,
    }),
    uploads: new Counter({
      name: 'darkroom_uploads_total',
      help: 'Uploads accepted; created is "false" if the store already held the same bytes',
      labelNames: ['created'],
      registers,
    }),
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

/** Adds the metrics that are read at each scrape. */
function observeSources(registry: Registry, sources: MetricSources): void {
  const registers = [registry]
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  const counter = (name: string, help: string, read: () => number) =>
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset()
        this.inc(read())
      },
    })
  const { renderQueue, fetchQueue, renderers, mezzanines, primes, infos, events } = sources
  gauge('darkroom_renders_in_progress', 'Renders in progress', () => renderQueue.active)
  gauge('darkroom_renders_queued', 'Renders waiting in the queue', () => renderQueue.waiting)
  gauge(
    'darkroom_render_queue_expected_wait_seconds',
    'Expected queue wait of a render that is requested now',
    () => renderQueue.expectedWaitMs / 1000,
  )
  gauge('darkroom_original_fetches_in_progress', 'Fetches of originals in progress', () => fetchQueue.active)
  gauge('darkroom_original_fetches_queued', 'Fetches of originals waiting in the queue', () => fetchQueue.waiting)
  gauge(
    'darkroom_background_tasks_pending',
    'Background tasks in progress or waiting: mezzanines, requested sizes, image infos, bucket events',
    () => mezzanines.pending + primes.pending + infos.pending + events.pending,
  )
  counter('darkroom_renderer_crashes_total', 'Renderer processes that crashed', () => renderers.counters.crashes)
  counter(
    'darkroom_renderer_timeouts_total',
    'Renderer processes killed because a render exceeded its timeout',
    () => renderers.counters.timeouts,
  )
  counter(
    'darkroom_renderer_memory_restarts_total',
    'Renderer processes replaced because of their memory use',
    () => renderers.counters.replaced,
  )
  gauge(
    'darkroom_renderer_resident_memory_bytes',
    'Resident memory of all renderer processes',
    () => renderers.counters.residentBytes,
  )
  gauge('darkroom_cache_bytes', 'Disk space used by the rendition cache', sources.cacheBytes)
}
