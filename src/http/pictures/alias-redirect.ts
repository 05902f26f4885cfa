import type { Context, Middleware } from 'koa'
import { admit, readmittingQuery, type SizePolicy } from '../../domain/access/size-policy.ts'
import { parseImagePath } from '../../domain/url/picture-url.ts'
import { OriginalError } from '../../errors.ts'
import type { AliasService } from '../../service/library/alias-service.ts'
import { API_HEADERS } from '../answer/json-answer.ts'
import type { RequestState } from '../request/request-state.ts'
import { redirect, withQuery } from './rendition-handler.ts'

const REDIRECT_SECONDS = 86_400

export interface PictureAliasOptions {
  readonly aliases: AliasService
  readonly policy: SizePolicy
  readonly now: () => number
}

/**
 * Lets a picture be asked for by a SHA-1: `301` to the same path under our id, so that caches hold it once. To stand around
 * what answers a request that was admitted; under signatures the new path is signed for what the given one was, and no longer.
 */
export function pictureAlias({ aliases, policy, now }: PictureAliasOptions): Middleware<RequestState> {
  return viaAlias(aliases, (ctx, path) => {
    const [given, wanted] = [parseImagePath(ctx.path), parseImagePath(path)]
    const query = new URLSearchParams(ctx.querystring)
    const { expiresInSeconds = REDIRECT_SECONDS } = admit(given, query, policy, Math.floor(now() / 1000))
    const admitting = policy.kind === 'signed' ? readmittingQuery(given, wanted, query, policy.keys) : ctx.querystring
    redirect(ctx, withQuery(path, admitting), 301, Math.min(REDIRECT_SECONDS, expiresInSeconds))
  })
}

/** The same for what is known of an image. */
export function recordAlias(aliases: AliasService): Middleware<RequestState> {
  return viaAlias(aliases, (ctx, path) => {
    ctx.set({ ...API_HEADERS, 'Cache-Control': `public, max-age=${REDIRECT_SECONDS}` })
    ctx.status = 301
    ctx.set('Location', withQuery(path, ctx.querystring))
    ctx.body = ''
  })
}

/** An id of ours comes first: only when there is none, the alias is asked for. */
function viaAlias(aliases: AliasService, answer: (ctx: Context, path: string) => void): Middleware<RequestState> {
  return async (ctx, next) => {
    try {
      await next()
    } catch (error) {
      const isAbsent = error instanceof OriginalError && error.code === 'original_not_found'
      const { route, sha1, rest } =
        /^(?<route>\/images?\/)(?<sha1>[0-9a-f]{40})(?<rest>.*)$/i.exec(ctx.path)?.groups ?? {}
      if (!isAbsent || sha1 === undefined) throw error
      const id = await aliases.find(sha1.toLowerCase(), ctx.state.signal)
      if (id === undefined) throw error
      answer(ctx, `${route}${id}${rest}`)
    }
  }
}
