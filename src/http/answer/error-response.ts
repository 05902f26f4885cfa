import { createHash } from 'node:crypto'
import type { Context, Middleware } from 'koa'
import { ERROR_HEADERS } from '../../domain/caching/http-caching.ts'
import {
  CursorExpiredError,
  type ErrorCode,
  LimitError,
  RENDER_QUEUE_FULL,
  ServiceError,
  UnavailableError,
} from '../../errors.ts'
import type { RequestState } from '../request/request-state.ts'

/** By code. */
export const ERROR_STATUS = {
  invalid_path: 400,
  invalid_upload: 400,
  invalid_event: 400,
  invalid_purge: 400,
  invalid_cursor: 400,
  token_required: 401,
  tokens_not_configured: 403,
  size_not_allowed: 403,
  signature_invalid: 403,
  signature_expired: 403,
  remote_not_allowed: 403,
  peer_not_allowed: 403,
  route_not_found: 404,
  original_not_found: 404,
  bucket_not_found: 404,
  method_not_allowed: 405,
  client_too_slow: 408,
  original_deleted: 410,
  cursor_expired: 410,
  precondition_failed: 412,
  original_too_large: 413,
  original_unsupported: 415,
  range_not_satisfiable: 416,
  original_broken: 422,
  too_many_requests: 429,
  remote_failed: 502,
  store_unavailable: 503,
  store_full: 503,
  disk_unavailable: 503,
  overloaded: 503,
  timed_out: 504,
} as const satisfies Record<ErrorCode, number>

/** How long a browser or CDN may cache that there is no such image: it may be uploaded soon. */
const NOT_FOUND_SECONDS = 5

/** Turns errors into `{ error, message }`. Any error except a `ServiceError` is a bug: a bare 500. */
export function errorResponse(): Middleware<RequestState> {
  return async (ctx, next) => {
    try {
      await next()
    } catch (error) {
      ctx.state.error = error
      if (ctx.res.headersSent || !ctx.writable) return
      answerError(ctx, error)
    }
  }
}

export function describeError(error: unknown): { readonly code: string; readonly message: string } {
  if (error instanceof ServiceError) return error
  return SERVER_ERRORS[500]
}

/** Replaces a prepared response by that of the error. */
export function answerError(ctx: Context, error: unknown): void {
  for (const name of ctx.res.getHeaderNames()) ctx.remove(name)
  const { status, headers, body } = errorAnswer(error)
  ctx.status = status
  ctx.set(headers)
  ctx.body = body
}

export interface ErrorAnswer {
  readonly status: number
  readonly headers: Record<string, string>
  readonly body: string
}

export function errorAnswer(error: unknown): ErrorAnswer {
  const { code, message } = describeError(error)
  const more = error instanceof CursorExpiredError ? { oldest: error.oldest } : {}
  const body = JSON.stringify({ error: code, message, ...more })
  const status = error instanceof ServiceError ? ERROR_STATUS[error.code] : 500
  const headers = errorHeaders(body)
  if (status === 404) headers['Cache-Control'] = `public, max-age=${NOT_FOUND_SECONDS}`
  if (status === 401) headers['WWW-Authenticate'] = 'Bearer'
  if (error instanceof UnavailableError || error instanceof LimitError) {
    headers['Retry-After'] = String(error.retryAfterSeconds ?? SERVER_ERRORS[503].retryAfterSeconds)
  }
  if (error instanceof MethodError) headers['Allow'] = error.allowed.join(', ')
  if (error instanceof RangeError416) headers['Content-Range'] = `bytes */${error.sizeBytes}`
  return { status, headers, body }
}

/** Headers of every error, from any server. @param body JSON */
export function errorHeaders(body: string): Record<string, string> {
  return {
    ...ERROR_HEADERS,
    // Without a charset, which JSON does not have, like the errors of nginx.
    'Content-Type': 'application/json',
    'Content-Length': String(Buffer.byteLength(body)),
  }
}

/** The path exists, but not for this method. */
export class MethodError extends ServiceError {
  readonly allowed: readonly string[]
  constructor(allowed: readonly string[]) {
    super('method_not_allowed', `${SERVER_ERRORS[405].message}; allowed: ${allowed.join(', ')}`)
    this.allowed = allowed
  }
}

/** The range begins beyond the end. */
export class RangeError416 extends ServiceError {
  readonly sizeBytes: number
  constructor(sizeBytes: number) {
    super('range_not_satisfiable', `${SERVER_ERRORS[416].message}, which has ${sizeBytes} bytes`)
    this.sizeBytes = sizeBytes
  }
}

/** An error of the HTTP server itself: of nginx, into whose configuration `npm run docs` writes it, or of Node. */
export interface ServerError {
  readonly code: string
  readonly message: string
  readonly retryAfterSeconds?: number
}

/** By status. The app also uses the messages of 404, 405, 412, 416 and 500, with details if it has some. */
export const SERVER_ERRORS = {
  400: {
    code: 'invalid_request',
    message: 'Malformed HTTP request; encode a percent sign in the path as %25',
  },
  403: { code: 'forbidden', message: 'Forbidden' },
  404: { code: 'route_not_found', message: 'No route matches this URL' },
  405: { code: 'method_not_allowed', message: 'Method not allowed for this URL' },
  408: { code: 'client_too_slow', message: 'The request was not received in time' },
  412: {
    code: 'precondition_failed',
    message: 'The image does not match the If-Match or If-Unmodified-Since header',
  },
  // $body_limit is a variable of nginx: the limit of the path. Node's server has another 413.
  413: { code: 'original_too_large', message: 'The request body exceeds the limit of $body_limit' },
  414: { code: 'uri_too_long', message: 'The request line is too long: the limit is 8 KiB' },
  416: { code: 'range_not_satisfiable', message: 'The range starts beyond the end of the image' },
  429: {
    code: 'too_many_requests',
    message: 'Rate limit exceeded for this client; try again in 1 second',
    retryAfterSeconds: 1,
  },
  431: { code: 'headers_too_large', message: 'The request headers are too large' },
  500: { code: 'internal_error', message: 'Internal server error' },
  501: {
    code: 'invalid_request',
    message: 'The Transfer-Encoding is not supported; use chunked or Content-Length',
  },
  503: {
    code: 'unavailable',
    message: 'The service is temporarily unavailable; try again in 2 seconds',
    retryAfterSeconds: 2,
  },
  505: { code: 'invalid_request', message: 'The HTTP version is not supported; use HTTP/1.1' },
} as const satisfies Readonly<Record<number, ServerError>>

/** nginx's 503 while the node's overload flag is set: the same as the node's response. */
export const OVERLOADED: ServerError = { code: 'overloaded', message: RENDER_QUEUE_FULL }

/** nginx's 429 while a client has a flag of `NOT_FOUND_FLAGS`. */
export const NOT_FOUND_LIMIT: ServerError = {
  code: 'too_many_requests',
  message:
    'Too many requests of this client for images that do not exist; try again in 1 second. ' +
    'Images that this node knows are still served',
}

/** Headers of every response except pictures, pages and errors. */
export const API_HEADERS = {
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; sandbox",
} as const

/** Responds with JSON and an ETag of its bytes, or `304` if the client has them. */
export function answerJson(ctx: Context, value: unknown, headers: Readonly<Record<string, string>>): void {
  const body = JSON.stringify(value)
  ctx.set({ ...API_HEADERS, ...headers, ETag: `"${createHash('sha256').update(body).digest('hex').slice(0, 32)}"` })
  ctx.status = 200
  if (ctx.fresh) {
    ctx.status = 304
    return
  }
  ctx.type = 'application/json'
  ctx.body = body
}
