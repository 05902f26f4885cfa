import { createHash } from 'node:crypto'
import type { Middleware } from 'koa'
import type { Metrics } from '../../telemetry/metrics.ts'
import { API_HEADERS } from '../answer/error-response.ts'

const UNKEPT = { ...API_HEADERS, 'Cache-Control': 'no-store' } as const

/** What a load balancer wants to know before it sends requests here. */
export interface Readiness {
  /** @returns reasons why this node should get none; empty if it should. */
  reasons(): Promise<readonly string[]>
  /** What is wrong without being a reason: the disk takes nothing, and pictures are served uncached. */
  degraded(): readonly string[]
  /** What an operator should know of a node that does all that its role asks of it: it serves only. */
  notes(): readonly string[]
}

/** `GET /healthz`: the process lives and its event loop turns. */
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

/**
 * `GET /`: one plain page. Its inline script and style are allowed by their hashes, and nothing else is.
 * @param html The page, with one `<script>` and one `<style>` at most.
 * @param publicUrl What URLs of pictures begin with; empty: a slash.
 */
export function homeHandler(html: string, publicUrl: string): Middleware {
  const policy = [
    "default-src 'none'",
    `img-src 'self' data:${publicUrl === '' ? '' : ` ${new URL(publicUrl).origin}`}`,
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    ...inlineSources(html, 'script'),
    ...inlineSources(html, 'style'),
  ].join('; ')
  return (ctx) => {
    ctx.set({ 'Content-Security-Policy': policy, 'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'no-cache' })
    ctx.type = 'html'
    ctx.body = html
  }
}

function inlineSources(html: string, tag: 'script' | 'style'): string[] {
  const content = new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`).exec(html)?.[1]
  return content === undefined ? [] : [`${tag}-src 'sha256-${createHash('sha256').update(content).digest('base64')}'`]
}
