import type { IncomingMessage } from 'node:http'
import { addAbortSignal } from 'node:stream'
import type { Middleware } from 'koa'
import { assertMayNotify } from '../../domain/access/write-access.ts'
import { formatByteAmount } from '../../domain/text/byte-amount.ts'
import { type BucketEvent, parseBucketEvents } from '../../domain/url/bucket-event.ts'
import { RequestError } from '../../errors.ts'
import { API_HEADERS } from '../answer/error-response.ts'
import { pacedBody } from '../request/request-body.ts'
import type { RequestState } from '../request/request-state.ts'

export interface EventsHandlerOptions {
  /** Accepted tokens. Empty: notifications are disabled. */
  readonly tokens: readonly string[]
  /** Its errors become the response, so that the sender retries. */
  onEvents(events: readonly BucketEvent[], signal: AbortSignal): Promise<void>
}

/** A message has one event, with AWS several, of one or two kilobytes each. */
const MAX_BODY_BYTES = 2 ** 20

/** `POST /events/s3`: notifications of a bucket. `204` when they have been processed. */
export function eventsHandler({ tokens, onEvents }: EventsHandlerOptions): Middleware<RequestState> {
  return async (ctx) => {
    const { authorization } = ctx.req.headers
    const inQuery = new URLSearchParams(ctx.querystring).get('access_token') ?? undefined
    assertMayNotify({ authorization, inQuery }, tokens)
    const events = parseBucketEvents(await readSmallBody(ctx.req, MAX_BODY_BYTES, ctx.state.signal))
    if (events.length > 0) await onEvents(events, ctx.state.signal)
    ctx.set({ ...API_HEADERS, 'Cache-Control': 'no-store' })
    ctx.status = 204
  }
}

/**
 * Reads a small body as text.
 *
 * @param signal Aborts reading, with its reason.
 * @throws RequestError `invalid_event` if it is larger or incomplete, `client_too_slow`.
 */
async function readSmallBody(request: IncomingMessage, maxBytes: number, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted()
  const body: AsyncIterable<Buffer> = addAbortSignal(signal, pacedBody(request, 'invalid_event'))
  const chunks: Buffer[] = []
  let sizeBytes = 0
  try {
    for await (const chunk of body) {
      sizeBytes += chunk.length
      if (sizeBytes > maxBytes) throw tooLong(maxBytes)
      chunks.push(chunk)
    }
  } catch (error) {
    signal.throwIfAborted()
    throw error
  }
  return Buffer.concat(chunks).toString()
}

function tooLong(maxBytes: number): RequestError {
  return new RequestError('invalid_event', `The request body exceeds the limit of ${formatByteAmount(maxBytes)}`)
}
