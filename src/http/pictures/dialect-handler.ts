import type { Middleware } from 'koa'
import { admitOtherwise, type SizePolicy } from '../../domain/access/size-policy.ts'
import { assertNotExpired } from '../../domain/dialect/dialect.ts'
import { type DialectSettings, readDialect } from '../../domain/dialect/dialects.ts'
import type { RequestState } from '../request/request-state.ts'
import { choiceOf, type PictureAnswer } from './picture-answer.ts'

export interface DialectHandlerOptions {
  readonly answer: PictureAnswer
  readonly policy: SizePolicy
  /** Ms since 1970. */
  readonly now: () => number
  readonly dialects: DialectSettings
}

/** Pictures at the URLs of other services, where those are mounted; everything else is passed on. */
export function dialectHandler(options: DialectHandlerOptions): Middleware<RequestState> {
  const { answer, policy, now, dialects } = options
  return async (ctx, next) => {
    const isRead = ctx.method === 'GET' || ctx.method === 'HEAD'
    const read = isRead ? readDialect(ctx.get('Host'), ctx.url, dialects) : undefined
    if (read === undefined) {
      await next()
      return
    }
    const { original, spec, format, expires, attachment, fileName, isSigned } = read
    const nowSeconds = Math.floor(now() / 1000)
    assertNotExpired(read, nowSeconds)
    admitOtherwise(spec, policy, isSigned)
    if (attachment || fileName !== undefined) {
      ctx.attachment(fileName, { type: attachment ? 'attachment' : 'inline' })
      // Koa has guessed a type by the name.
      ctx.remove('Content-Type')
    }
    const expiresInSeconds = expires === undefined ? undefined : expires - nowSeconds
    await answer(ctx, { original, spec, as: choiceOf(ctx, format), expiresInSeconds })
  }
}
