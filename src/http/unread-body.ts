import type { IncomingMessage } from 'node:http'
import type { Middleware } from 'koa'
import type { RequestState } from './request-state.ts'

/** A client that sends on what nobody wants to read has this long to notice the answer. */
const LINGER_MS = 5000

/**
 * Reads and drops what is left of a body that was refused on the way, for a while: a client that reads no answer before it
 * has sent everything gets its answer, and the connection does not hang with a body in it.
 */
export function dropUnreadBody(): Middleware<RequestState> {
  return async (ctx, next) => {
    const { req, res } = ctx
    if (hasBody(req)) {
      res.once('finish', () => {
        if (req.complete) return
        // Whoever it was piped to has stopped taking it.
        req.unpipe()
        req.resume()
        const timer = setTimeout(() => req.destroy(), LINGER_MS)
        timer.unref()
        req.once('close', () => clearTimeout(timer))
      })
    }
    await next()
  }
}

/** Whether a body comes with the request, as far as its headers say; it may be empty. */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined
}
