import { EventEmitter, once } from 'node:events'
import type { TestContext } from 'node:test'
import Koa from 'koa'
import type { BucketEvent } from '../../src/domain/url/bucket-event.ts'
import { UnavailableError } from '../../src/errors.ts'
import { errorResponse } from '../../src/http/answer/error-response.ts'
import { eventsHandler } from '../../src/http/api/events-handler.ts'
import { close, createHttpServer, dropUnreadBody, listen } from '../../src/http/connection/server.ts'
import type { RequestState } from '../../src/http/request/request-state.ts'
import { deadline } from '../../src/http/request/request-state.ts'

/** A service that does nothing but take the events of buckets. */
export interface EventSink {
  /** As `http://127.0.0.1:8080`. */
  readonly url: string
  /** Status of every answer, in order. */
  readonly statuses: readonly number[]
  /** Waits until so many requests have come. */
  arrived(count: number): Promise<void>
  /** Waits until so many requests are done with. */
  answered(count: number): Promise<void>
  /** Takes the oldest events that nobody has taken, so many of them; waits for them. */
  take(count: number): Promise<readonly BucketEvent[]>
  /** Answers the next messages that tell something, so many of them, with 503. */
  failNext(count: number): void
}

export async function startEventSink(t: TestContext, tokens: readonly string[]): Promise<EventSink> {
  const statuses: number[] = []
  let events: BucketEvent[] = []
  let failures = 0
  let requests = 0
  const news = new EventEmitter()
  const until = async (isSo: () => boolean): Promise<void> => {
    while (!isSo()) await once(news, 'news')
  }
  const app = new Koa<RequestState>()
  // Of senders that leave.
  app.on('error', () => {})
  app.use(dropUnreadBody())
  app.use(async (ctx, next) => {
    requests += 1
    news.emit('news')
    await next()
    statuses.push(ctx.status)
    news.emit('news')
  })
  app.use(errorResponse())
  app.use(deadline(5000))
  const handler = eventsHandler({
    tokens,
    async onEvents(told) {
      if (failures > 0) {
        failures -= 1
        throw new UnavailableError('store_unavailable', 'The object store is unreachable')
      }
      events.push(...told)
    },
  })
  app.use(async (ctx, next) => {
    await (ctx.path === '/events/s3' ? handler(ctx, next) : next())
  })
  const server = createHttpServer(app)
  const url = await listen(server, 0, '127.0.0.1')
  t.after(() => close(server))
  return {
    url,
    statuses,
    arrived: (count) => until(() => requests >= count),
    answered: (count) => until(() => statuses.length >= count),
    async take(count) {
      await until(() => events.length >= count)
      const taken = events.slice(0, count)
      events = events.slice(count)
      return taken
    },
    failNext(count) {
      failures = count
    },
  }
}
