import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Middleware } from 'koa'
import { ServiceError } from '../../errors.ts'
import type { Log } from '../../telemetry/log.ts'
import type { Metrics, Rejection } from '../../telemetry/metrics.ts'
import type { ClientOf, RequestState } from '../request/request-state.ts'

/** A request that has ended. */
export interface Ended {
  readonly method: string
  /** Without the query, which may contain a signature. */
  readonly path: string
  readonly client: string
  readonly requestId: string
  /** 499: the client disconnected before the response began. */
  readonly status: number
  readonly bytes: number
  readonly seconds: number
  readonly tier: string | undefined
  readonly error: unknown
  /** Rejected before any work. */
  readonly isShed?: true
}

export type AccessReport = (ended: Ended) => void

/** One line in the log and one count in the metrics for each request. */
export function createAccessReport(log: Log, metrics: Metrics): AccessReport {
  let ended: Ended[] = []
  // Requests that end in one turn of the event loop are reported together, at half the cost for each.
  const reportAll = () => {
    const batch = ended
    ended = []
    for (const each of batch) report(each)
  }
  return (each) => {
    if (ended.length === 0) setImmediate(reportAll)
    ended.push(each)
  }

  function report({ error, tier, seconds, isShed, ...rest }: Ended): void {
    const { method, status } = rest
    metrics.requests.inc({ method: METHODS.has(method) ? method : 'other', status })
    metrics.requestSeconds.observe(seconds)
    const reason = isShed ? 'shed' : rejectionOf(error)
    if (reason !== undefined) metrics.rejections.inc({ reason })
    if (tier !== undefined) metrics.renditions.inc(renditionLabels(tier))
    const line = { ...rest, seconds: Math.round(seconds * 1e4) / 1e4, tier: tier ?? '' }
    if (error === undefined || status === 499) log.info(line, 'request')
    else if (!(error instanceof ServiceError)) log.error({ ...line, err: error }, 'request')
    else if (status >= 500) log.warn({ ...line, error: error.code, cause: describeCause(error.cause) }, 'request')
    else log.info({ ...line, error: error.code }, 'request')
  }
}

function rejectionOf(error: unknown): Rejection | undefined {
  if (!(error instanceof ServiceError)) return undefined
  if (error.code === 'overloaded') return 'queue'
  return error.code === 'too_many_requests' ? 'rate_limit' : undefined
}

/** The labels of the metric: a hit names its cache; a miss or a joined render has none. */
function renditionLabels(tier: string): Record<'cache_status' | 'cache', string> {
  const isHit = tier === 'memory' || tier === 'disk'
  return isHit ? { cache_status: 'hit', cache: tier } : { cache_status: tier, cache: 'none' }
}

/** Reports each request when its response has ended. */
export function accessLog(report: AccessReport, clientOf: ClientOf): Middleware<RequestState> {
  return (ctx, next) => {
    const began = performance.now()
    const { req, res } = ctx
    res.on('close', () => {
      const { tier, error } = ctx.state
      report({
        client: clientOf(req),
        requestId: requestIdOf(req),
        method: ctx.method,
        path: ctx.path,
        // Koa also answers failed requests of clients that have disconnected: such a response was not sent.
        status: res.headersSent ? res.statusCode : 499,
        bytes: ctx.response.length ?? 0,
        seconds: (performance.now() - began) / 1000,
        tier,
        error,
      })
    })
    return next()
  }
}

/**
 * The id from nginx or the client, if it is short and plain, so that clients cannot write arbitrary text into the log.
 */
export function requestIdOf({ headers }: IncomingMessage): string {
  const id = headers['x-request-id']
  return typeof id === 'string' && /^[\w.-]{1,64}$/.test(id) ? id : randomUUID()
}

const METHODS = new Set(['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS', 'PUT', 'PATCH'])

/** The chain of causes, in one line. */
function describeCause(cause: unknown): string | undefined {
  if (!(cause instanceof Error)) return undefined
  const deeper = describeCause(cause.cause)
  return deeper === undefined ? `${cause.name}: ${cause.message}` : `${cause.name}: ${cause.message}; ${deeper}`
}
