import Koa from 'koa'
import type { Log } from '../telemetry/log.ts'
import { errorResponse } from './answer/error-response.ts'
import { type AccessReport, accessLog } from './connection/access-log.ts'
import { dropUnreadBody } from './request/request-body.ts'
import type { RequestState } from './request/request-state.ts'
import { picturesFirst, type RoutesOptions, routes, unmatched } from './routes.ts'

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
