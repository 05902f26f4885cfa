import type { RendererPool } from '../adapters/renderer/renderer-pool.ts'
import type { SharedRenditions } from '../service/renditions/shared-renditions.ts'
import type { LeftWork } from '../service/tools/left-work.ts'
import type { SampledMetric } from '../telemetry/metrics.ts'

/** The parts whose values are read. */
export interface RenditionSources {
  readonly renderers: Pick<RendererPool, 'counters'>
  readonly leftFetches: Pick<LeftWork, 'counters'>
  readonly leftRenders: Pick<LeftWork, 'counters'>
  readonly shared: Pick<SharedRenditions, 'counters'>
}

/** Metrics of the renditions that nodes share. */
export function sharingMetrics({ shared }: Pick<RenditionSources, 'shared'>): readonly SampledMetric[] {
  return [
    {
      type: 'counter',
      name: 'darkroom_shared_rendition_hits_total',
      help: 'Renditions of other nodes that this node found in the store instead of rendering them (SHARE_RENDITIONS)',
      read: () => shared.counters.hits,
    },
    {
      type: 'counter',
      name: 'darkroom_shared_rendition_misses_total',
      help: 'Looks at the store for a costly or primed rendition that found none',
      read: () => shared.counters.misses,
    },
    {
      type: 'counter',
      name: 'darkroom_shared_rendition_writes_total',
      help: 'Renditions that this node has written to the store for other nodes',
      read: () => shared.counters.writes,
    },
    {
      type: 'counter',
      name: 'darkroom_shared_rendition_drops_total',
      help: 'Renditions that were to be shared and were not: too many were waiting, or the store failed',
      read: () => shared.counters.drops,
    },
  ]
}

/** Metrics of the processes that render. */
export function rendererMetrics({ renderers }: Pick<RenditionSources, 'renderers'>): readonly SampledMetric[] {
  return [
    {
      type: 'counter',
      name: 'darkroom_renderer_crashes_total',
      help: 'Renderer processes that crashed',
      read: () => renderers.counters.crashes,
    },
    {
      type: 'counter',
      name: 'darkroom_renderer_timeouts_total',
      help: 'Renderer processes killed because a render exceeded its timeout',
      read: () => renderers.counters.timeouts,
    },
    {
      type: 'counter',
      name: 'darkroom_renderer_memory_restarts_total',
      help: 'Renderer processes replaced because of their memory use',
      read: () => renderers.counters.replaced,
    },
    {
      type: 'gauge',
      name: 'darkroom_renderer_resident_memory_bytes',
      help: 'Resident memory of all renderer processes',
      read: () => renderers.counters.residentBytes,
    },
  ]
}

/** Metrics of work that its requests have left. */
export function leftWorkMetrics(
  sources: Pick<RenditionSources, 'leftFetches' | 'leftRenders'>,
): readonly SampledMetric[] {
  const kinds = { fetch: sources.leftFetches, render: sources.leftRenders }
  const read = (counter: keyof LeftWork['counters']) => () =>
    Object.entries(kinds).map(([kind, { counters }]) => ({ labels: { kind }, value: counters[counter] }))
  return [
    {
      type: 'counter',
      name: 'darkroom_left_work_kept_total',
      help: 'Fetches and renders that had begun when the last client canceled its request, and were completed and kept',
      labels: ['kind'],
      read: read('kept'),
    },
    {
      type: 'counter',
      name: 'darkroom_left_work_canceled_total',
      help: 'The same, canceled because enough others were being completed',
      labels: ['kind'],
      read: read('canceled'),
    },
  ]
}
