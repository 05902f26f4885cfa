import { randomUUID } from 'node:crypto'
import type { Context, Middleware } from 'koa'
import { ServiceError } from '../errors.ts'
import type { Log } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { RequestState } from './request-state.ts'

interface Ended {
  readonly ctx: Context & { readonly state: RequestState }
  /** Whether it began to be answered while its client was there. */
  readonly answered: boolean
  readonly seconds: number
}

/** One line in the log and one count in the metrics for each request, when its answer has ended. */
export function accessLog(log: Log, metrics: Metrics): Middleware<RequestState> {
  let ended: Ended[] = []
  // Those that end in one turn of the event loop are reported together, which costs each half of what it does alone.
  const reportAll = () => {
    const batch = ended
    ended = []
    for (const each of batch) report(each)
  }
  return async (ctx, next) => {
    const began = performance.now()
    ctx.res.once('close', () => {
      if (ended.length === 0) setImmediate(reportAll)
      // Koa answers even those who have left, once their request has failed: too late to be an answer.
      ended.push({ ctx, answered: ctx.res.headersSent, seconds: (performance.now() - began) / 1000 })
    })
    await next()
  }

  function report({ ctx, answered, seconds }: Ended): void {
    const { tier, error } = ctx.state
    const status = answered ? ctx.status : 499
    metrics.requests.inc({ method: METHODS.has(ctx.method) ? ctx.method : 'other', status })
    metrics.requestSeconds.observe(seconds)
    if (tier !== undefined) metrics.renditions.inc({ tier })
    const line = {
      requestId: requestIdOf(ctx),
      client: ctx.get('X-Forwarded-For') || ctx.ip,
      method: ctx.method,
      // Without the query, which may hold a signature.
      path: ctx.path,
      status,
      bytes: ctx.response.length ?? 0,
      seconds: Number(seconds.toFixed(4)),
      tier: tier ?? '',
    }
    if (error === undefined || status === 499) log.info(line, 'request')
    else if (!(error instanceof ServiceError)) log.error({ ...line, err: error }, 'request')
    else if (status >= 500) log.warn({ ...line, error: error.code, cause: describeCause(error.cause) }, 'request')
    else log.info({ ...line, error: error.code }, 'request')
  }
}

/** nginx's, or a client's own that is short and plain: a log is no place for whatever somebody likes to send. */
function requestIdOf(ctx: Context): string {
  const given = ctx.get('X-Request-Id')
  return /^[\w.-]{1,64}$/.test(given) ? given : randomUUID()
}

const METHODS = new Set(['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS', 'PUT', 'PATCH'])

/** The chain of causes in a line. */
function describeCause(cause: unknown): string | undefined {
  if (!(cause instanceof Error)) return undefined
  const deeper = describeCause(cause.cause)
  return deeper === undefined ? `${cause.name}: ${cause.message}` : `${cause.name}: ${cause.message}; ${deeper}`
}
