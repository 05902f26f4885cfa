import Router from '@koa/router'
import type { Middleware } from 'koa'
import Koa from 'koa'
import { RequestError } from '../errors.ts'
import type { Log } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { errorResponse, MethodError, SERVER_ERRORS } from './answer/error-response.ts'
import { type EventsHandlerOptions, eventsHandler } from './api/events-handler.ts'
import {
  deleteHandler,
  type ImagesHandlerOptions,
  type InfoHandlerOptions,
  infoHandler,
  originalHandler,
  recordHandler,
  uploadHandler,
} from './api/images-handler.ts'
import { homeHandler, liveHandler, metricsHandler, type Readiness, readyHandler } from './api/node-handlers.ts'
import { reticulumUploadHandler } from './api/reticulum-handler.ts'
import { type AccessReport, accessLog } from './connection/access-log.ts'
import type { PictureHandlers } from './pictures/picture-handlers.ts'
import { recordAlias } from './pictures/redirect.ts'
import { dropUnreadBody } from './request/request-body.ts'
import { type ClientOf, deadline, type RequestState } from './request/request-state.ts'

export interface RoutesOptions {
  readonly images: ImagesHandlerOptions
  readonly infos: InfoHandlerOptions
  readonly events: EventsHandlerOptions
  readonly pictures: PictureHandlers
  readonly metrics: Metrics
  readonly readiness: Readiness
  readonly clientOf: ClientOf
  readonly homePage: string
  /** For an answer to begin. */
  readonly requestTimeoutMs: number
}

/** An upload may take as long as its client keeps sending at a decent pace. */
const UPLOAD_TIMEOUT_MS = 600_000

/** The prefixes below which every path is that of a picture. */
const PICTURES = [
  ['/image', 'upload'],
  ['/s3', 'object'],
  ['/v1', 'rethumb'],
] as const satisfies readonly (readonly [string, keyof PictureHandlers])[]

/** Every URL of the service, exactly as it is spelled here. A `GET` answers `HEAD` too. */
function routes(options: RoutesOptions): Router<RequestState> {
  const { images, infos, events, pictures, metrics, readiness, homePage, requestTimeoutMs } = options
  const router = new Router<RequestState>({ sensitive: true, strict: true })
  const within = deadline(requestTimeoutMs)
  const aliased = recordAlias(images.aliases)

  router.get('/image', pictures.remote)
  for (const [prefix, kind] of PICTURES) router.get(`${prefix}{/*path}`, pictures[kind])

  router.post('/images', deadline(UPLOAD_TIMEOUT_MS), uploadHandler(images))
  router.get('/images/:id', within, aliased, recordHandler(images))
  router.delete('/images/:id', within, deleteHandler(images))
  router.get('/images/:id/info', within, aliased, infoHandler(infos))
  router.get('/images/:id/original', within, aliased, originalHandler(images))

  router.post('/events/s3', within, eventsHandler(events))

  router.post('/', deadline(UPLOAD_TIMEOUT_MS), reticulumUploadHandler(images))
  router.get('/', homeHandler(homePage, images.publicUrl))
  router.get('/healthz', liveHandler())
  router.get('/readyz', readyHandler(readiness))
  router.get('/metrics', metricsHandler(metrics))

  return router
}

/**
 * Answers the paths below the prefixes of pictures. The router compares a path with every route in turn, which takes 13 of the
 * 65 µs of CPU of a hit. Other spellings are left to the router.
 */
function picturesFirst({ pictures }: RoutesOptions): Middleware<RequestState> {
  return async (ctx, next) => {
    const isRead = ctx.method === 'GET' || ctx.method === 'HEAD'
    const found = isRead ? PICTURES.find(([prefix]) => ctx.path.startsWith(`${prefix}/`)) : undefined
    await (found === undefined ? next() : pictures[found[1]](ctx, next))
  }
}

/** What no route took: a wrong method, or nothing at all. */
function unmatched(router: Router<RequestState>): Middleware<RequestState> {
  return (ctx) => {
    const allowed = router.match(ctx.path, ctx.method).path.flatMap(({ methods }) => methods)
    if (allowed.length > 0) throw new MethodError([...new Set(allowed)])
    const meant = nearestRoute(ctx.path)
    const hint = meant === undefined ? '' : `; did you mean ${meant}?`
    throw new RequestError('route_not_found', `${SERVER_ERRORS[404].message}${hint}`)
  }
}

/** Of what is not at the front of several nodes, and whose spellings nginx keeps from others, nothing is said. */
const NAMED = /^\/(?:images(?:\/[0-9a-f]{40}(?:\/(?:info|original))?)?|healthz|readyz|events\/s3)$/

/** The route that is spelled like that but for capitals and slashes, if there is one. */
function nearestRoute(path: string): string | undefined {
  const plain = path.toLowerCase().replaceAll(/\/+/g, '/').replace(/\/$/, '')
  return plain !== path && NAMED.test(plain) ? plain : undefined
}

/** The middleware in its order. */
export function createApp(log: Log, report: AccessReport, options: RoutesOptions): Koa<RequestState> {
  const app = new Koa<RequestState>()
  // These errors came after the response had begun: mostly, the client closed the connection.
  app.on('error', (error: unknown) => log.debug({ err: error }, 'response aborted'))
  app.use(accessLog(report, options.clientOf))
  app.use(dropUnreadBody())
  app.use(errorResponse())
  if (options.pictures.dialects) app.use(options.pictures.dialects)
  app.use(picturesFirst(options))
  const router = routes(options)
  app.use(router.routes())
  app.use(unmatched(router))
  return app
}
