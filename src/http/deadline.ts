import type { Middleware } from 'koa'
import { UnavailableError } from '../errors.ts'
import type { RequestState } from './request-state.ts'

/** The client closed the connection before it had its answer. Nobody sees this error but the log. */
export class ClientGoneError extends Error {
  constructor() {
    super('The client has gone')
    this.name = 'ClientGoneError'
  }
}

/** Gives the request a signal that aborts when its client leaves, or if its answer has not begun within the time. */
export function deadline(timeoutMs: number): Middleware<RequestState> {
  return async (ctx, next) => {
    const controller = new AbortController()
    const late = () => controller.abort(new UnavailableError('timed_out', 'This took too long; try again'))
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
