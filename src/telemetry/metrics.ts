import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** What is read only when somebody asks. */
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
  /** Bytes of disk that the cache uses, as the last sweep found it and with what was written since. */
  readonly cacheBytes: () => number
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Every metric of the service, in one registry. */
export function createMetrics() {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const histogram = (name: string, help: string) => new Histogram({ name, help, registers, buckets: SECONDS })
  return {
    registry,
    /** Adds the gauges that are read when somebody asks. */
    observe(sources: MetricSources): void {
      const gauge = (name: string, help: string, read: () => number) =>
        new Gauge({
          name,
          help,
          registers,
          collect() {
            this.set(read())
          },
        })
      gauge('darkroom_render_queue_active', 'Renders under way', () => sources.renderQueue.active)
      gauge('darkroom_render_queue_waiting', 'Renders that wait for their turn', () => sources.renderQueue.waiting)
      gauge(
        'darkroom_render_expected_wait_seconds',
        'How long a render that is asked for now would wait for its turn',
        () => sources.renderQueue.expectedWaitMs / 1000,
      )
      gauge('darkroom_fetch_queue_active', 'Originals being fetched', () => sources.fetchQueue.active)
      gauge('darkroom_fetch_queue_waiting', 'Fetches that wait for their turn', () => sources.fetchQueue.waiting)
      gauge(
        'darkroom_background_pending',
        'Images whose reduced pictures, sizes or infos are being made ahead, or wait for it',
        () => sources.mezzanines.pending + sources.primes.pending + sources.infos.pending + sources.events.pending,
      )
      const { renderers } = sources
      gauge('darkroom_renderer_crashes', 'Renderers that crashed since the start', () => renderers.counters.crashes)
      gauge(
        'darkroom_renderer_timeouts',
        'Renderers ended by force, as a picture took too long',
        () => renderers.counters.timeouts,
      )
      gauge(
        'darkroom_renderer_replaced',
        'Renderers replaced because of their memory',
        () => renderers.counters.replaced,
      )
      gauge('darkroom_renderer_resident_bytes', 'Memory of all renderers', () => renderers.counters.residentBytes)
      gauge('darkroom_cache_bytes', 'Disk used by the cache', sources.cacheBytes)
    },
    requests: new Counter({
      name: 'darkroom_requests_total',
      help: 'Answers by status',
      labelNames: ['method', 'status'],
      registers,
    }),
    renditions: new Counter({
      name: 'darkroom_renditions_total',
      help: 'Renditions by how they were come by',
      labelNames: ['tier'],
      registers,
    }),
    uploads: new Counter({
      name: 'darkroom_uploads_total',
      help: 'Uploads taken in, by whether they were new',
      labelNames: ['created'],
      registers,
    }),
    renderSeconds: histogram('darkroom_render_seconds', 'Time to decode, transform and encode'),
    fetchSeconds: histogram('darkroom_fetch_seconds', 'Time to bring an original from the store'),
    queueWaitSeconds: histogram('darkroom_queue_wait_seconds', 'Time that a render waited for its turn'),
    requestSeconds: histogram('darkroom_request_seconds', 'Time from a request to the end of its answer'),
  }
}

export type Metrics = ReturnType<typeof createMetrics>
