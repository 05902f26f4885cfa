import { RENDER_QUEUE_FULL } from '../../errors.ts'

/** An error of an HTTP server itself: of nginx, for which `npm run docs` writes them into its configuration, or of Node. */
export interface ServerError {
  readonly code: string
  readonly message: string
  readonly retryAfterSeconds?: number
}

/** By status. The app uses the messages of 404, 405, 412, 416 and 500 too, with details where it knows more. */
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

/** nginx's 503 for requests that the node tells it to refuse: the node's own answer to them. */
export const OVERLOADED: ServerError = { code: 'overloaded', message: RENDER_QUEUE_FULL }
