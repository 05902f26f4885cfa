import type { Middleware } from 'koa'
import { answerError, describeError } from '../answer/error-response.ts'
import type { RequestState } from '../request/request-state.ts'

/**
 * Errors as rethumb told them: a picture, so that an `<img>` shows something, and what is wrong in `rethumb-error-message`. All
 * are `400`, but for ours and `429`: with those a proxy knows to come again.
 * @param picture A PNG.
 * @param handler Whose errors they are.
 */
export function rethumbErrors(picture: Buffer, handler: Middleware<RequestState>): Middleware<RequestState> {
  return async (ctx, next) => {
    try {
      await handler(ctx, next)
    } catch (error) {
      const { code, message } = describeError(error)
      if (ctx.res.headersSent || !ctx.writable) throw error
      ctx.state.error = error
      answerError(ctx, error)
      if ((ctx.status < 500 && ctx.status !== 429) || ctx.status === 502) ctx.status = 400
      ctx.set('rethumb-error-message', `${code}: ${message.replaceAll(/[^\x20-\x7e]/g, '?')}`)
      ctx.set('Cache-Control', 'no-store')
      ctx.set('Content-Type', 'image/png')
      ctx.body = picture
    }
  }
}
