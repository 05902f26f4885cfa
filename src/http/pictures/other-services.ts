import type { Context, Middleware } from 'koa'
import { admitOtherwise, type SizePolicy } from '../../domain/access/size-policy.ts'
import type { WriteAccess } from '../../domain/access/write-access.ts'
import { assertNotExpired } from '../../domain/dialect/dialect.ts'
import { type DialectSettings, readDialect, remoteRef } from '../../domain/dialect/dialects.ts'
import { parseRethumbPath, rethumbExif } from '../../domain/dialect/rethumb-path.ts'
import type { InfoService } from '../../service/library/info-service.ts'
import type { Resolver } from '../../service/originals/resolve.ts'
import { answerError, answerJson, describeError } from '../answer/error-response.ts'
import type { NotFoundLimit } from '../request/not-found-limit.ts'
import { type AskedBy, assertMay, type RequestState } from '../request/request-state.ts'
import { choiceOf, type PictureAnswer } from './picture-answer.ts'

export interface OtherServicesOptions {
  readonly answer: PictureAnswer
  /** Sets the signal of the request, and limits its client. */
  readonly within: NotFoundLimit
  readonly policy: SizePolicy
  /** Ms since 1970. */
  readonly now: () => number
  readonly dialects: DialectSettings
  readonly versions: Resolver
  readonly infos: InfoService
  readonly askedBy: AskedBy
  /** Private metadata requires a token. */
  readonly access: WriteAccess
  /** A client with a token sees where the picture was taken. */
  readonly showGps: boolean
}

/** Pictures at the URLs of thumbor, imgproxy and ipx, where those are mounted. Passes on everything else. */
export function dialectHandler({
  answer,
  policy,
  now,
  dialects,
}: Pick<OtherServicesOptions, 'answer' | 'policy' | 'now' | 'dialects'>): Middleware<RequestState> {
  return async (ctx, next) => {
    const isRead = ctx.method === 'GET' || ctx.method === 'HEAD'
    const read = isRead ? readDialect(ctx.get('Host'), ctx.url, dialects) : undefined
    if (read === undefined) {
      await next()
      return
    }
    const { original, format, expires, attachment, fileName, isSigned } = read
    const nowSeconds = Math.floor(now() / 1000)
    assertNotExpired(read, nowSeconds)
    const spec = admitOtherwise(read.spec, policy, isSigned)
    if (attachment || fileName !== undefined) {
      ctx.attachment(fileName, { type: attachment ? 'attachment' : 'inline' })
      // Koa guesses a type by the file name.
      ctx.remove('Content-Type')
    }
    const expiresInSeconds = expires === undefined ? undefined : expires - nowSeconds
    await answer(ctx, { original, spec, as: choiceOf(ctx, format), expiresInSeconds })
  }
}

/** `GET /v1/<param>/<value>/…/<url>` in rethumb's grammar: a picture, or the EXIF metadata for `exif/all`. */
export function rethumbHandler(options: OtherServicesOptions): Middleware<RequestState> {
  const { answer, within, policy } = options
  return async (ctx) => {
    const asked = parseRethumbPath(ctx.url)
    if (asked.kind === 'exif') {
      await within(ctx, remoteRef(asked.source), () => answerExif(ctx, asked.source, options))
      return
    }
    const { source, format, version } = asked
    const spec = admitOtherwise(asked.spec, policy, false)
    const original = { ...remoteRef(source), ...(version !== undefined && { tag: version }) }
    await answer(ctx, { original, spec, as: choiceOf(ctx, format) })
  }
}

async function answerExif(
  ctx: Context & { state: RequestState },
  source: string,
  { versions, infos, askedBy, access, showGps }: OtherServicesOptions,
): Promise<void> {
  assertMay('metadata', ctx, access)
  const { signal } = ctx.state
  const asked = askedBy(ctx.req, remoteRef(source))
  const { capture, place } = await versions.use(asked, signal, (id) => infos.info(id, signal))
  answerJson(ctx, rethumbExif(capture.metadata.exif ?? {}, showGps ? place : undefined), {
    'Cache-Control': 'private, no-cache',
    Vary: 'Authorization',
  })
}

/**
 * Errors in rethumb's form: a picture, so that an `<img>` shows something, with the message in `rethumb-error-message`. The
 * status is `400`, except for `429` and server errors: those tell a proxy to try again.
 * @param picture A PNG.
 * @param handler The handler whose errors are answered.
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
