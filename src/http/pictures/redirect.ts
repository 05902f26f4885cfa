import type { Context, Middleware } from 'koa'
import { admit, readmittingQuery, type SizePolicy } from '../../domain/access/size-policy.ts'
import { PICTURE_HEADERS } from '../../domain/caching/http-caching.ts'
import { parseImagePath } from '../../domain/url/picture-url.ts'
import { OriginalError } from '../../errors.ts'
import type { AliasService } from '../../service/library/alias-service.ts'
import { API_HEADERS } from '../answer/error-response.ts'
import type { RequestState } from '../request/request-state.ts'

const REDIRECT_SECONDS = 86_400

export interface PictureAliasOptions {
  readonly aliases: AliasService
  readonly policy: SizePolicy
  readonly now: () => number
}

/**
 * Redirects a picture URL with a SHA-1 to the same URL with the id, so that caches hold the picture once. Wraps the handler of an
 * admitted request. With SIZE_POLICY=signed, the new URL has a signature for the same size and the same time.
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

/** The same for the record and the metadata of an image. */
export function recordAlias(aliases: AliasService): Middleware<RequestState> {
  return viaAlias(aliases, (ctx, path) => {
    ctx.set({ ...API_HEADERS, 'Cache-Control': `public, max-age=${REDIRECT_SECONDS}` })
    ctx.status = 301
    ctx.set('Location', withQuery(path, ctx.querystring))
    ctx.body = ''
  })
}

/** An id has precedence: the alias is looked up only if there is no such image. */
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

export function withQuery(path: string, querystring: string): string {
  return querystring === '' ? path : `${path}?${querystring}`
}

/** Redirects to another URL of the same picture. */
export function redirect(ctx: Context, location: string, status: 301 | 302, maxAgeSeconds: number): void {
  ctx.set(PICTURE_HEADERS)
  ctx.set('Cache-Control', `public, max-age=${maxAgeSeconds}`)
  ctx.status = status
  ctx.set('Location', location)
  ctx.body = ''
}
