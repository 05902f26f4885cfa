/** What a browser may do that opens an answer as a page: a drawing keeps its own styles, and nothing else is loaded or run. */
const CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"

/**
 * Headers of every picture, from nginx and from this process alike. A response with `X-Accel-Redirect` leaves them out: nginx adds
 * its own, which `npm run docs` writes into nginx.conf.
 */
export const PICTURE_HEADERS = {
  'Access-Control-Allow-Origin': '*',
  'Cross-Origin-Resource-Policy': 'cross-origin',
  'Timing-Allow-Origin': '*',
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': CONTENT_SECURITY_POLICY,
} as const

/** Headers of every error, from nginx and from this process alike. The app lets caches keep some errors for a while. */
export const ERROR_HEADERS = {
  'Cache-Control': 'no-store',
  'Access-Control-Allow-Origin': '*',
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': CONTENT_SECURITY_POLICY,
} as const
