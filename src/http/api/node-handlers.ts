import type { Middleware } from 'koa'
import type { Metrics } from '../../telemetry/metrics.ts'
import { API_HEADERS } from '../answer/error-response.ts'

const UNKEPT = { ...API_HEADERS, 'Cache-Control': 'no-store' } as const

/** The state of the node for load balancers. */
export interface Readiness {
  /** @returns Reasons why this node should get no requests; empty if it is ready. */
  reasons(): Promise<readonly string[]>
  /** Problems that do not make the node unready, such as a full disk, while pictures are served uncached. */
  degraded(): readonly string[]
  /** Notes for the operator, such as that the node is read-only. */
  notes(): readonly string[]
}

/** `GET /healthz`: the process runs and its event loop is not blocked. */
export function liveHandler(): Middleware {
  return (ctx) => {
    ctx.set(UNKEPT)
    ctx.body = { status: 'ok' }
  }
}

/** `GET /readyz`: `503` with the reasons while this node should get no requests. */
export function readyHandler(readiness: Readiness): Middleware {
  return async (ctx) => {
    const reasons = await readiness.reasons()
    const degraded = readiness.degraded()
    const notes = readiness.notes()
    ctx.set(UNKEPT)
    ctx.status = reasons.length > 0 ? 503 : 200
    if (reasons.length > 0) ctx.set('Retry-After', '1')
    ctx.body = {
      status: reasons.length > 0 ? 'not ready' : degraded.length > 0 ? 'degraded' : 'ready',
      reasons: [...reasons, ...degraded],
      ...(notes.length > 0 && { notes }),
    }
  }
}

/** `GET /metrics`, in Prometheus' text format. */
export function metricsHandler({ registry }: Metrics): Middleware {
  return async (ctx) => {
    ctx.set(UNKEPT)
    ctx.type = registry.contentType
    ctx.body = await registry.metrics()
  }
}

/** The paths for image crawlers; not records, uploads and the state of the node. */
const ROBOTS = `User-agent: *
Disallow: /images
Disallow: /events/
Disallow: /healthz
Disallow: /readyz
Disallow: /metrics
Disallow: /openapi.json
`

/** `GET /robots.txt`. Images stay crawlable, for image search; the home page excludes itself by its robots meta element. */
export function robotsHandler(): Middleware {
  return (ctx) => {
    ctx.set({ ...API_HEADERS, 'Cache-Control': PUBLIC_FOR_A_DAY })
    ctx.type = 'text/plain'
    ctx.body = ROBOTS
  }
}

const PUBLIC_FOR_A_DAY = 'public, max-age=86400'

/** `GET /favicon.ico`, which browsers request for any page without an icon of its own. @param svg The icon. */
export function faviconHandler(svg: string): Middleware {
  return (ctx) => {
    ctx.set({ ...API_HEADERS, 'Cache-Control': PUBLIC_FOR_A_DAY })
    ctx.type = 'image/svg+xml'
    ctx.body = svg
  }
}
