import type { Context, Middleware } from 'koa'
import type { WriteAccess } from '../../domain/access/write-access.ts'
import { isImageId } from '../../domain/identity/image-id.ts'
import { cloudEvent } from '../../domain/info/image-event.ts'
import { isLabel } from '../../domain/info/image-labels.ts'
import { invalidPath } from '../../domain/text/path-text.ts'
import { RequestError } from '../../errors.ts'
import type { EventFeed } from '../../service/library/event-feed.ts'
import type { ImageList } from '../../service/library/image-list.ts'
import { API_HEADERS } from '../answer/error-response.ts'
import { assertMay, type RequestState } from '../request/request-state.ts'

export interface FeedHandlersOptions {
  readonly feed: EventFeed
  readonly imageList: ImageList
  readonly access: WriteAccess
  /** Prefix of URLs in responses; empty: they begin with a slash. */
  readonly publicUrl: string
  /** Longest wait for new events. */
  readonly maxWaitSeconds: number
}

export const MAX_FEED_EVENTS = 10_000
export const MAX_LISTED = 1000
const USUAL_EVENTS = 1000
const USUAL_LISTED = 100
const USUAL_WAIT_SECONDS = 20

/** `GET /events?after=…`: events as JSON lines; the header `Link` has the next URL. */
export function feedHandler({
  feed,
  access,
  publicUrl,
  maxWaitSeconds,
}: FeedHandlersOptions): Middleware<RequestState> {
  return async (ctx) => {
    assertMay('events', ctx, access)
    const query = new URLSearchParams(ctx.querystring)
    const limit = wholeParameter(query, 'limit', { preset: USUAL_EVENTS, min: 1, max: MAX_FEED_EVENTS })
    const usualWait = Math.min(USUAL_WAIT_SECONDS, maxWaitSeconds)
    const wait = wholeParameter(query, 'wait', { preset: usualWait, min: 0, max: maxWaitSeconds })
    const request = { after: query.get('after') ?? '', limit, waitMs: wait * 1000 }
    const { events, cursor } = await feed.read(request, ctx.state.signal)
    setNext(ctx, query, cursor)
    answerLines(
      ctx,
      events.map((event) => cloudEvent(event, `${publicUrl}/images`)),
    )
  }
}

/** `GET /images?after=…`: records as JSON lines, by id; the header `Link` has the next URL, if there are more. */
export function listHandler({ imageList, access }: FeedHandlersOptions): Middleware<RequestState> {
  return async (ctx) => {
    assertMay('list', ctx, access)
    const query = new URLSearchParams(ctx.querystring)
    const after = query.get('after') ?? ''
    if (after !== '' && !isImageId(after)) {
      throw new RequestError('invalid_cursor', 'after: should be the id of an image, 40 hexadecimal digits')
    }
    const label = query.get('label')
    if (label !== null && !isLabel(label)) throw invalidPath(`label: "${label.slice(0, 64)}" is not a label`)
    const limit = wholeParameter(query, 'limit', { preset: USUAL_LISTED, min: 1, max: MAX_LISTED })
    const request = { after, limit, ...(label !== null && { label }) }
    const { records, next } = await imageList.list(request, ctx.state.signal)
    if (next !== undefined) setNext(ctx, query, next)
    answerLines(ctx, records)
  }
}

interface Bounds {
  readonly preset: number
  readonly min: number
  readonly max: number
}

/** @throws RequestError `invalid_path` */
function wholeParameter(query: URLSearchParams, name: string, { preset, min, max }: Bounds): number {
  const text = query.get(name)
  if (text === null) return preset
  const value = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  throw invalidPath(`${name}: should be a whole number from ${min} to ${max}`)
}

/** The same request after this cursor. Relative, as a consumer may use another host name than browsers. */
function setNext(ctx: Context, query: URLSearchParams, cursor: string): void {
  const next = new URLSearchParams(query)
  next.set('after', cursor)
  ctx.set('Link', `<${ctx.path}?${next.toString()}>; rel="next"`)
}

function answerLines(ctx: Context, values: readonly unknown[]): void {
  ctx.set({ ...API_HEADERS, 'Cache-Control': 'private, no-store' })
  ctx.status = 200
  ctx.type = 'application/x-ndjson'
  ctx.body = values.map((value) => `${JSON.stringify(value)}\n`).join('')
}
