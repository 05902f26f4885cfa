import type { Middleware } from 'koa'
import { assertMayNotify } from '../../domain/access/write-access.ts'
import { type BucketEvent, parseBucketEvents } from '../../domain/url/bucket-event.ts'
import { API_HEADERS } from '../answer/error-response.ts'
import type { RequestState } from '../request/request-state.ts'
import { readSmallBody } from '../request/small-body.ts'

export interface EventsHandlerOptions {
  /** Accepted tokens. Empty: notifications are disabled. */
  readonly tokens: readonly string[]
  /** Its errors become the response, so that the sender retries. */
  onEvents(events: readonly BucketEvent[], signal: AbortSignal): Promise<void>
}

/** A message has one event, with AWS several, of one or two kilobytes each. */
const BODY = { maxBytes: 2 ** 20, onBreak: 'invalid_event' } as const

/** `POST /events/s3`: notifications of a bucket. `204` when they have been processed. */
export function eventsHandler({ tokens, onEvents }: EventsHandlerOptions): Middleware<RequestState> {
  return async (ctx) => {
    const { authorization } = ctx.req.headers
    const inQuery = new URLSearchParams(ctx.querystring).get('access_token') ?? undefined
    assertMayNotify({ authorization, inQuery }, tokens)
    const events = parseBucketEvents(await readSmallBody(ctx.req, BODY, ctx.state.signal))
    if (events.length > 0) await onEvents(events, ctx.state.signal)
    ctx.set({ ...API_HEADERS, 'Cache-Control': 'no-store' })
    ctx.status = 204
  }
}
