import type { Middleware } from 'koa'
import { RequestError, type ServiceError, UnavailableError } from '../../errors.ts'
import type { RequestState } from './request-state.ts'

/** The client closed the connection before it had its answer. Nobody sees this error but the log. */
class ClientGoneError extends Error {
  constructor() {
    super('The client closed the connection')
    this.name = 'ClientGoneError'
  }
}

/**
 * Gives the request a signal that aborts when its client leaves, or if its answer has not begun within the time: with
 * `client_too_slow` if the request itself has not arrived by then, else with `timed_out`.
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
