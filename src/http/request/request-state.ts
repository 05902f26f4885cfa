import type { IncomingMessage } from 'node:http'
import type { Context, Middleware } from 'koa'
import type { SizePolicy } from '../../domain/access/size-policy.ts'
import { assertHoldsToken, type Guarded, holdsToken, type WriteAccess } from '../../domain/access/write-access.ts'
import type { ConditionalHeaders } from '../../domain/caching/http-caching.ts'
import { type AskedRef, invalidImageId, isImageId, type OriginalRef } from '../../domain/identity/image-id.ts'
import { type AddressBlock, clientAddress, clientNetwork } from '../../domain/network/ip-address.ts'
import { RequestError, type ServiceError, UnavailableError } from '../../errors.ts'
import type { Viewer } from '../../service/load/admission.ts'
import { memoize } from '../../service/tools/memoize.ts'

/** State that the middleware of a request share. */
export interface RequestState {
  /** Aborts when the client disconnects or the time is over. Set by `deadline`. */
  signal: AbortSignal
  /** The cache status of a rendition, for the log and the metrics. */
  tier?: string
  /** The thrown error, for the log. */
  error?: unknown
}

/** The address of a request's client, for the log and for limits. */
export type ClientOf = (request: IncomingMessage) => string

/** The original, with the client if that matters. */
export type AskedBy = (request: IncomingMessage, original: OriginalRef) => AskedRef

/** The client and the arrival time of a request. */
export type ViewerOf = (request: IncomingMessage) => Viewer

const MEMORY_BYTES = 1024 * 1024

/** @param proxies Trusted proxies. */
export function createClientOf(proxies: readonly AddressBlock[]): ClientOf {
  // The same proxies and clients recur, and parsing addresses takes microseconds.
  const read = memoize((text) => {
    const [peer = '', ...forwarded] = text.split(' ')
    return { address: clientAddress(peer, forwarded.join(' '), proxies) }
  }, MEMORY_BYTES)
  return ({ headers, socket }) => {
    const forwarded = proxies.length === 0 ? '' : String(headers['x-forwarded-for'] ?? '')
    return read(`${socket.remoteAddress ?? ''} ${forwarded}`).address
  }
}

export function createAskedBy(clientOf: ClientOf): AskedBy {
  return (request, original) =>
    original.kind === 'remote' ? { ...original, client: clientNetwork(clientOf(request)) } : original
}

export function createViewerOf(clientOf: ClientOf): ViewerOf {
  return (request) => ({ client: clientNetwork(clientOf(request)), since: performance.now() })
}

/** @throws RequestError `token_required`, `tokens_not_configured` */
export function assertMay(wanted: Guarded, ctx: Context, access: WriteAccess): void {
  assertHoldsToken(wanted, ctx.req.headers.authorization, access)
}

/** Whether the request has a token. */
export function isTrusted(ctx: Context, access: WriteAccess): boolean {
  return holdsToken(ctx.req.headers.authorization, access)
}

/**
 * If every URL needs a signature, records need a token: they contain signed URLs without expiry, and a client with one
 * temporary URL knows the id.
 *
 * @throws RequestError `token_required`, `tokens_not_configured`
 */
export function assertMayKnow(ctx: Context, policy: SizePolicy, access: WriteAccess): void {
  if (policy.kind === 'signed') assertMay('record', ctx, access)
}

/** The id in `/images/<id>…`, in lower case. @throws RequestError `invalid_path` */
export function idOf(ctx: Context): string {
  const text = ctx.path.split('/')[2] ?? ''
  const id = text.toLowerCase()
  if (isImageId(id)) return id
  throw invalidImageId(text)
}

/** The conditional headers and the range of a request. */
export function conditionsOf(ctx: Context): ConditionalHeaders {
  const { headers } = ctx.req
  return {
    ifMatch: headers['if-match'],
    ifNoneMatch: headers['if-none-match'],
    ifModifiedSince: headers['if-modified-since'],
    ifUnmodifiedSince: headers['if-unmodified-since'],
    ifRange: typeof headers['if-range'] === 'string' ? headers['if-range'] : undefined,
    range: headers.range,
  }
}

/** The client closed the connection before the response. Only the log shows this error. */
class ClientGoneError extends Error {
  constructor() {
    super('The client closed the connection')
    this.name = 'ClientGoneError'
  }
}

/**
 * Gives the request a signal that aborts when its client disconnects, or if its response has not begun in time: with
 * `client_too_slow` if the request has not been received by then, else with `timed_out`.
 */
export function deadline(timeoutMs: number): Middleware<RequestState> {
  return async (ctx, next) => {
    const controller = new AbortController()
    const late = () => controller.abort(lateness(ctx.req.complete, timeoutMs))
    const timer = setTimeout(late, timeoutMs)
    ctx.res.once('close', () => {
      if (!ctx.res.writableFinished) controller.abort(new ClientGoneError())
    })
    ctx.state.signal = controller.signal
    try {
      await next()
    } finally {
      clearTimeout(timer)
    }
  }
}

function lateness(hasArrived: boolean, timeoutMs: number): ServiceError {
  if (hasArrived) return new UnavailableError('timed_out', 'The request timed out; try again')
  return new RequestError('client_too_slow', `The request was not received within ${timeoutMs / 1000} seconds`)
}

/** Whether the request has a body by its headers; it may be empty. */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined
}
