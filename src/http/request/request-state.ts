import type { IncomingMessage } from 'node:http'
import type { Context } from 'koa'
import type { SizePolicy } from '../../domain/access/size-policy.ts'
import { assertHoldsToken, type Guarded, holdsToken, type WriteAccess } from '../../domain/access/write-access.ts'
import type { ConditionalHeaders } from '../../domain/caching/http-caching.ts'
import { isImageId } from '../../domain/identity/image-id.ts'
import type { AskedRef, OriginalRef } from '../../domain/identity/original-ref.ts'
import { type AddressBlock, clientAddress, clientNetwork } from '../../domain/network/ip-address.ts'
import { RequestError } from '../../errors.ts'
import type { Viewer } from '../../service/load/admission.ts'
import { memoize } from '../../service/tools/memoize.ts'

/** What the middleware of one request tell each other. */
export interface RequestState {
  /** Aborts when the client has gone or the time is over. Set by `deadline`. */
  signal: AbortSignal
  /** How a rendition was come by, for the log and the metrics. */
  tier?: string
  /** What was thrown, for the log. */
  error?: unknown
}

/** The address of a request's client: as the log has it, and as limits count it. */
export type ClientOf = (request: IncomingMessage) => string

/** The original, and the client of the request where that matters. */
export type AskedBy = (request: IncomingMessage, original: OriginalRef) => AskedRef

/** The request as one that waits for work: since now, for its client. */
export type ViewerOf = (request: IncomingMessage) => Viewer

const MEMORY_BYTES = 1024 * 1024

/** @param proxies Whose word on the client is taken. */
export function createClientOf(proxies: readonly AddressBlock[]): ClientOf {
  // The same few proxies and clients come again and again, and reading addresses costs microseconds.
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
 * Where every URL needs a signature, nobody is to find out without a token what there is. Above all not the record, which has URLs
 * that are signed for ever: whoever was given one for an hour knows the id.
 *
 * @throws RequestError `token_required`, `tokens_not_configured`
 */
export function assertMayKnow(ctx: Context, policy: SizePolicy, access: WriteAccess): void {
  if (policy.kind === 'signed') assertMay('record', ctx, access)
}

/** The id in `/images/<id>…`, in lower case. @throws RequestError `invalid_path` */
export function idOf(ctx: Context): string {
  const id = (ctx.path.split('/')[2] ?? '').toLowerCase()
  if (isImageId(id)) return id
  throw new RequestError('invalid_path', 'An image id must have 40 hexadecimal digits')
}

/** What a request says of the copy that its client has, and of the part that it wants. */
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
