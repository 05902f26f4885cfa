import Router from '@koa/router'
import type { Middleware } from 'koa'
import Koa from 'koa'
import { parseImagePath } from '../domain/url/picture-url.ts'
import { RequestError } from '../errors.ts'
import type { Log } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { errorResponse, MethodError, SERVER_ERRORS } from './answer/error-response.ts'
import { type EventsHandlerOptions, eventsHandler } from './api/events-handler.ts'
import { type FeedHandlersOptions, feedHandler, listHandler } from './api/feed-handlers.ts'
import { type HintHandlerOptions, hintHandler } from './api/hint-handler.ts'
import { type HomePage, homeHandler } from './api/home-page.ts'
import {
  deleteHandler,
  type ImagesHandlerOptions,
  type InfoHandlerOptions,
  infoHandler,
  originalHandler,
  recordHandler,
  uploadHandler,
} from './api/images-handler.ts'
import {
  faviconHandler,
  liveHandler,
  metricsHandler,
  type Readiness,
  readyHandler,
  robotsHandler,
} from './api/node-handlers.ts'
import { type NodesHandlerOptions, nodesHandler } from './api/nodes-handler.ts'
import { openApiHandler } from './api/openapi.ts'
import { OPERATIONS, type OperationName } from './api/openapi-operations.ts'
import { type PurgeHandlerOptions, purgeHandler } from './api/purge-handler.ts'
import { type RejectionHandlerOptions, rejectionHandler } from './api/rejection-handler.ts'
import { reticulumUploadHandler } from './api/reticulum-handler.ts'
import { type AccessReport, accessLog } from './connection/access-log.ts'
import { dropUnreadBody } from './connection/server.ts'
import type { PictureHandlers } from './pictures/picture-handlers.ts'
import { recordAlias } from './pictures/redirect.ts'
import { type NotFoundLimit, notFoundLimited } from './request/not-found-limit.ts'
import { type ClientOf, deadline, type RequestState } from './request/request-state.ts'

export interface RoutesOptions {
  readonly images: ImagesHandlerOptions
  readonly infos: InfoHandlerOptions
  readonly events: EventsHandlerOptions
  readonly feeds: FeedHandlersOptions
  readonly rejections: RejectionHandlerOptions
  readonly purges: PurgeHandlerOptions
  readonly nodes: NodesHandlerOptions
  readonly hints: HintHandlerOptions
  readonly pictures: PictureHandlers
  readonly metrics: Metrics
  readonly readiness: Readiness
  readonly clientOf: ClientOf
  readonly notFoundLimit: NotFoundLimit
  readonly home: HomePage
  /** Timeout until the response begins. */
  readonly requestTimeoutMs: number
}

/** Uploads have no short timeout, but a minimum rate. */
const UPLOAD_TIMEOUT_MS = 600_000

interface Route {
  /** As in OpenAPI; the first one has the method. */
  readonly operations: readonly [OperationName, ...OperationName[]]
  readonly path: string
  readonly handlers: readonly Middleware<RequestState>[]
}

/** The end of the path of a route that has every path below it. */
const BELOW = '{/*path}'

/** Every URL of the service, exactly as it is spelled here. A `GET` answers `HEAD` too. */
function routeTable(options: RoutesOptions): readonly Route[] {
  const { images, infos, events, feeds, rejections, purges, pictures, metrics, readiness, home, requestTimeoutMs } =
    options
  const within = deadline(requestTimeoutMs)
  const slowly = deadline(UPLOAD_TIMEOUT_MS)
  const limited = notFoundLimited(options.notFoundLimit)
  const aliased = recordAlias(images.aliases)
  const table: readonly Route[] = [
    { operations: ['viewRemote'], path: '/image', handlers: [pictures.remote] },
    { operations: ['viewUpload', 'viewNamedUpload'], path: `/image${BELOW}`, handlers: [pictures.upload] },
    { operations: ['viewObject', 'viewNamedObject', 'objectInfo'], path: `/s3${BELOW}`, handlers: [pictures.object] },
    { operations: ['viewRethumb'], path: `/v1${BELOW}`, handlers: [pictures.rethumb] },
    { operations: ['upload'], path: '/images', handlers: [slowly, uploadHandler(images)] },
    { operations: ['list'], path: '/images', handlers: [within, listHandler(feeds)] },
    { operations: ['record'], path: '/images/:id', handlers: [within, limited, aliased, recordHandler(images)] },
    { operations: ['remove'], path: '/images/:id', handlers: [within, deleteHandler(images)] },
    { operations: ['info'], path: '/images/:id/info', handlers: [within, limited, aliased, infoHandler(infos)] },
    { operations: ['original'], path: '/images/:id/original', handlers: [within, aliased, originalHandler(images)] },
    { operations: ['feed'], path: '/events', handlers: [within, feedHandler(feeds)] },
    { operations: ['reportRejection'], path: '/events', handlers: [within, rejectionHandler(rejections)] },
    { operations: ['events'], path: '/events/s3', handlers: [within, eventsHandler(events)] },
    { operations: ['purge'], path: '/purge', handlers: [within, purgeHandler(purges)] },
    { operations: ['nodes'], path: '/nodes', handlers: [within, nodesHandler(options.nodes)] },
    { operations: ['hint'], path: '/peers/hint', handlers: [hintHandler(options.hints)] },
    { operations: ['reticulumUpload'], path: '/', handlers: [slowly, reticulumUploadHandler(images)] },
    { operations: ['home'], path: '/', handlers: [homeHandler(home)] },
    { operations: ['robots'], path: '/robots.txt', handlers: [robotsHandler()] },
    { operations: ['favicon'], path: '/favicon.ico', handlers: [faviconHandler(home.icon)] },
    { operations: ['live'], path: '/healthz', handlers: [liveHandler()] },
    { operations: ['ready'], path: '/readyz', handlers: [readyHandler(readiness)] },
    { operations: ['metrics'], path: '/metrics', handlers: [metricsHandler(metrics)] },
  ]
  const described = table.flatMap(({ operations }) => operations).filter((name) => name !== 'home' || home.html !== '')
  const openApi = openApiHandler([...described, 'openApi'], images.publicUrl)
  return [...table, { operations: ['openApi'], path: '/openapi.json', handlers: [openApi] }]
}

/**
 * Answers the paths below the prefixes of pictures. The router compares a path with every route in turn, which takes 13 of the
 * 65 µs of CPU of a hit. Other spellings are left to the router.
 */
function picturesFirst(table: readonly Route[]): Middleware<RequestState> {
  const pictures = table
    .filter(({ path }) => path.endsWith(BELOW))
    .map(({ path, handlers }) => ({ prefix: `${path.slice(0, -BELOW.length)}/`, handlers }))
  return (ctx, next) => {
    const { method, path } = ctx
    const isRead = method === 'GET' || method === 'HEAD'
    const handle = isRead ? pictures.find(({ prefix }) => path.startsWith(prefix))?.handlers[0] : undefined
    const answered: unknown = handle === undefined ? next() : handle(ctx, next)
    return answered
  }
}

/** Answers requests that no route matches: 405 for a wrong method, 404 for an unknown path. */
function unmatched(router: Router<RequestState>): Middleware<RequestState> {
  return (ctx) => {
    const allowed = router.match(ctx.path, ctx.method).path.flatMap(({ methods }) => methods)
    if (allowed.length > 0) throw new MethodError([...new Set(allowed)])
    const meant = nearestRoute(ctx.path) ?? nearestPicture(ctx.path)
    const hint = meant === undefined ? dialectHint(ctx.path) : `; did you mean ${meant}?`
    throw new RequestError('route_not_found', `${SERVER_ERRORS[404].message}${hint}`)
  }
}

/** Routes to suggest: not those that are disabled at the front of several nodes, or that nginx blocks. */
const NAMED = /^\/(?:images(?:\/[0-9a-f]{40}(?:\/(?:info|original))?)?|healthz|readyz|nodes|purge|events(?:\/s3)?)$/

/** The route with the same spelling except for case and slashes, if there is one. */
function nearestRoute(path: string): string | undefined {
  const plain = path.toLowerCase().replaceAll(/\/+/g, '/').replace(/\/$/, '')
  return plain !== path && NAMED.test(plain) ? plain : undefined
}

const PICTURE = /^\/images?(?<rest>\/[0-9a-f]{40}\/[^/]+(?:\/[^/]+)?)$/

/** The path of a picture with extra slashes, with another case, or below the route of records. */
function nearestPicture(path: string): string | undefined {
  const { rest } = PICTURE.exec(path.toLowerCase().replaceAll(/\/+/g, '/').replace(/\/$/, ''))?.groups ?? {}
  return rest === undefined || !isPicturePath(`/image${rest}`) ? undefined : `/image${rest}`
}

function isPicturePath(path: string): boolean {
  try {
    parseImagePath(path)
    return true
  } catch (error) {
    if (error instanceof RequestError) return false
    throw error
  }
}

/** Unsigned URLs of services whose grammar is not enabled, or is enabled below another prefix. */
function dialectHint(path: string): string {
  const [, first] = path.split('/')
  const service = first === 'unsafe' ? 'thumbor' : first === 'insecure' ? 'imgproxy' : undefined
  return service === undefined
    ? ''
    : `; the setting DIALECTS enables URLs of ${service}, such as DIALECTS=${service}=/${service}`
}

/** The middleware in order. */
export function createApp(log: Log, report: AccessReport, options: RoutesOptions): Koa<RequestState> {
  const app = new Koa<RequestState>()
  // These errors occurred after the response had begun: mostly, the client closed the connection.
  app.on('error', (error: unknown) => log.debug({ err: error }, 'response aborted'))
  app.use(accessLog(report, options.clientOf))
  app.use(dropUnreadBody())
  app.use(errorResponse())
  if (options.pictures.dialects) app.use(options.pictures.dialects)
  const table = routeTable(options)
  const router = new Router<RequestState>({ sensitive: true, strict: true })
  for (const { operations, path, handlers } of table) router[OPERATIONS[operations[0]].method](path, ...handlers)
  app.use(picturesFirst(table))
  app.use(router.routes())
  app.use(unmatched(router))
  return app
}
