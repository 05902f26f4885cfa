import type { Context, Middleware } from 'koa'
import { admitOtherwise, type SizePolicy } from '../../domain/access/size-policy.ts'
import type { WriteAccess } from '../../domain/access/write-access.ts'
import { remoteRef } from '../../domain/dialect/dialects.ts'
import { parseRethumbPath, rethumbExif } from '../../domain/dialect/rethumb-path.ts'
import type { InfoService } from '../../service/library/info-service.ts'
import type { VersionService } from '../../service/originals/versions.ts'
import { answerError, describeError } from '../answer/error-response.ts'
import { answerJson } from '../answer/json-answer.ts'
import type { AskedBy, RequestState } from '../request/request-state.ts'
import { assertMay } from '../request/request-state.ts'
import { choiceOf, type PictureAnswer } from './picture-answer.ts'

export interface RethumbHandlerOptions {
  readonly answer: PictureAnswer
  readonly policy: SizePolicy
  readonly versions: VersionService
  readonly infos: InfoService
  readonly askedBy: AskedBy
  /** What a file says of its making needs a token here as well. */
  readonly access: WriteAccess
  /** And where it was taken a setting. */
  readonly showGps: boolean
}

/** `GET /v1/<param>/<value>/…/<url>` in rethumb's grammar: a picture, or with `exif/all` what EXIF says. */
export function rethumbHandler(
  options: RethumbHandlerOptions,
  within: Middleware<RequestState>,
): Middleware<RequestState> {
  const { answer, policy, versions, infos, askedBy, access, showGps } = options

  async function answerExif(ctx: Context & { state: RequestState }, source: string): Promise<void> {
    assertMay('metadata', ctx, access)
    const { signal } = ctx.state
    const asked = askedBy(ctx.req, remoteRef(source))
    const { capture, place } = await versions.use(asked, signal, (id) => infos.info(id, signal))
    answerJson(ctx, rethumbExif(capture.metadata.exif ?? {}, showGps ? place : undefined), {
      'Cache-Control': 'private, no-cache',
      Vary: 'Authorization',
    })
  }

  return async (ctx) => {
    const asked = parseRethumbPath(ctx.url)
    if (asked.kind === 'exif') {
      await within(ctx, () => answerExif(ctx, asked.source))
      return
    }
    const { source, spec, format, version } = asked
    admitOtherwise(spec, policy, false)
    const original = { ...remoteRef(source), ...(version !== undefined && { tag: version }) }
    await answer(ctx, { original, spec, as: choiceOf(ctx, format) })
  }
}

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
