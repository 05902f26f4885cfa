import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Middleware } from 'koa'
import type { RequestState } from './request-state.ts'

/** A client that sends on what nobody wants to read has this long to notice the answer. */
const LINGER_MS = 5000
/** A client that was refused for its silence has little on its way. */
const LINGER_SLOW_MS = 2000

/**
 * Reads and drops what is left of a body that was refused on the way, for a while: a client that reads no answer before it
 * has sent everything gets its answer, and the connection does not hang with a body in it.
 */
export function dropUnreadBody(): Middleware<RequestState> {
  return async (ctx, next) => {
    const { req, res } = ctx
    try {
      await next()
    } finally {
      if (hasBody(req) && !req.complete) dropRest(req, res, ctx.status === 408 ? LINGER_SLOW_MS : LINGER_MS)
    }
  }
}

function dropRest(req: IncomingMessage, res: ServerResponse, lingerMs: number): void {
  // On who asks for that Node hangs up right after the answer, and what is still on its way would cut the answer off: so our half
  // of the connection is ended, and the other half read on.
  const isLast = !res.shouldKeepAlive
  res.shouldKeepAlive = true
  res.once('finish', () => {
    // Whoever it was piped to has stopped taking it.
    req.unpipe()
    req.resume()
    if (isLast) req.socket.end()
    const timer = setTimeout(() => req.destroy(), lingerMs)
    timer.unref()
    req.once('close', () => {
      clearTimeout(timer)
      if (isLast) req.socket.destroySoon()
    })
  })
}

/** Whether a body comes with the request, as far as its headers say; it may be empty. */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined
}
