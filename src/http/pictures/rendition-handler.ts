import type { Context, Middleware } from 'koa'
import { admit, type SizePolicy } from '../../domain/access/size-policy.ts'
import { PICTURE_HEADERS } from '../../domain/caching/http-caching.ts'
import type { Spec } from '../../domain/spec/spec.ts'
import { formatImagePath, type ImageRequest, parseImagePath } from '../../domain/url/picture-url.ts'
import { assertNoQueryOptions } from '../../domain/url/query-options.ts'
import { memoize } from '../../service/tools/memoize.ts'
import type { RequestState } from '../request/request-state.ts'
import { choiceOf, type PictureAnswer } from './picture-answer.ts'

export interface RenditionHandlerOptions {
  readonly answer: PictureAnswer
  readonly policy: SizePolicy
  /** Ms since 1970. */
  readonly now: () => number
}

export interface UploadedRenditionOptions extends RenditionHandlerOptions {
  /** Reads the size: `parseSpec`, or `parseSpecOrReticulumSize`. */
  readonly readSpec: (text: string) => Spec
}

/** A URL that has been read. */
export interface ReadUrl {
  readonly request: ImageRequest
  /** The same URL, without its host, in the canonical spelling and with this spec. */
  spell(spec: Spec): string
  readonly isCanonical: boolean
}

const PATH_MEMORY_BYTES = 4 * 1024 * 1024
const REDIRECT_SECONDS = 86_400
const FALLBACK_SECONDS = 3600

/** `GET /image/<id>/<spec>`, `…/<spec>.<ext>` and `…/<spec>/<name>.<ext>` */
export function renditionHandler(options: UploadedRenditionOptions): Middleware<RequestState> {
  // A hot picture's path is read once: reading it took a sixth of the time of a hit.
  const readPath = memoize((given) => {
    const request = parseImagePath(given, options.readSpec)
    return { request, path: formatImagePath(request) }
  }, PATH_MEMORY_BYTES)
  return async (ctx) => {
    assertNoQueryOptions(ctx.path, ctx.querystring)
    const { request, path } = readPath(ctx.path)
    const spell = (spec: Spec) => withQuery(formatImagePath({ ...request, spec }), ctx.querystring)
    await answerUrl(ctx, { request, spell, isCanonical: path === ctx.path }, options)
  }
}

/** One redirect for whatever is spelled otherwise, then who may ask for it, then the picture. */
export async function answerUrl(
  ctx: Context & { state: RequestState },
  { request, spell, isCanonical }: ReadUrl,
  { answer, policy, now }: RenditionHandlerOptions,
): Promise<void> {
  const { original, spec, format } = request
  if (!isCanonical) {
    redirect(ctx, spell(spec), 301, REDIRECT_SECONDS)
    return
  }
  const admission = admit(request, new URLSearchParams(ctx.querystring), policy, Math.floor(now() / 1000))
  if (admission.redirect) {
    redirect(ctx, spell(admission.redirect), 302, FALLBACK_SECONDS)
    return
  }
  await answer(ctx, {
    original,
    spec,
    as: choiceOf(ctx, format ?? 'negotiated'),
    expiresInSeconds: admission.expiresInSeconds,
  })
}

export function withQuery(path: string, querystring: string): string {
  return querystring === '' ? path : `${path}?${querystring}`
}

/** Sends the client to another URL of the same picture, as any cache may remember for so long. */
export function redirect(ctx: Context, location: string, status: 301 | 302, maxAgeSeconds: number): void {
  ctx.set(PICTURE_HEADERS)
  ctx.set('Cache-Control', `public, max-age=${maxAgeSeconds}`)
  ctx.status = status
  ctx.set('Location', location)
  ctx.body = ''
}
