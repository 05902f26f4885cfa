import type { Context } from 'koa'
import { type CacheTagHeader, cacheTagValue } from '../../domain/caching/cache-tags.ts'
import {
  isNotModified,
  isPreconditionFailed,
  PICTURE_HEADERS,
  type PictureCaching,
  selectRange,
  uploadCaching,
  versionCaching,
} from '../../domain/caching/http-caching.ts'
import type { DialectFormat } from '../../domain/dialect/dialect.ts'
import type { OriginalRef } from '../../domain/identity/image-id.ts'
import { acceptClass, contentTypeOf } from '../../domain/spec/image-format.ts'
import type { Spec } from '../../domain/spec/spec.ts'
import { renditionFolder } from '../../domain/stored/cache-layout.ts'
import { RequestError } from '../../errors.ts'
import type { ImageCache } from '../../service/ports/cache.ts'
import type { Version } from '../../service/ports/originals.ts'
import type { Rendition } from '../../service/renditions/look-up.ts'
import type { View, ViewService } from '../../service/renditions/view.ts'
import { RangeError416, SERVER_ERRORS } from '../answer/error-response.ts'
import type { NginxFront } from '../request/nginx-front.ts'
import type { NotFoundLimit } from '../request/not-found-limit.ts'
import type { AskedBy, RequestState } from '../request/request-state.ts'
import { conditionsOf } from '../request/request-state.ts'

export interface PictureAnswerOptions {
  readonly views: ViewService
  readonly cache: ImageCache
  readonly askedBy: AskedBy
  readonly front: NginxFront
  /** Headers that pictures have in addition. */
  readonly cacheTagHeaders: readonly CacheTagHeader[]
  /** Ms since 1970. */
  readonly now: () => number
}

/** A request for a picture, after access control. */
export interface AskedPicture {
  readonly original: OriginalRef
  readonly spec: Spec
  readonly as: View['as']
  /** Of the signature. Absent: no expiry. */
  readonly expiresInSeconds?: number | undefined
}

export type PictureAnswer = (ctx: Context & { state: RequestState }, asked: AskedPicture) => Promise<void>

/** The format of the answer: the one in the URL, that of the original, or the best one that the client accepts. */
export function choiceOf(ctx: Context, format: DialectFormat): View['as'] {
  if (format === 'source') return { accept: 'source' }
  return format === 'negotiated' ? { accept: acceptClass(ctx.headers.accept) } : format
}

/**
 * The node decides which file is the answer, and nginx sends it.
 * @param within Sets the signal of the request and limits its client. A hit in memory needs neither.
 */
export function pictureAnswer(options: PictureAnswerOptions, within: NotFoundLimit): PictureAnswer {
  const { views, askedBy, front, cacheTagHeaders } = options
  return async (ctx, { original, spec, as, expiresInSeconds }) => {
    const began = performance.now()
    // nginx sets or removes this header. Without nginx it could only come from the client.
    const again = front.accelPrefix !== '' && (ctx.req.headers['x-render-again'] ?? '') !== ''

    const answer = (rendition: Rendition, version?: Version): boolean | Promise<boolean> => {
      ctx.state.tier = rendition.tier
      // Without Koa's `ctx.set`, which took a tenth of the time of a hit.
      const { res } = ctx
      res.setHeader('Content-Type', contentTypeOf(rendition.format))
      for (const header of cacheTagHeaders) res.setHeader(header, cacheTagValue(header, original))
      const tenths = Math.round((performance.now() - began) * 10)
      const milliseconds = `${Math.floor(tenths / 10)}.${tenths % 10}`
      res.setHeader('Server-Timing', `cache;desc="${rendition.tier}", node;dur=${milliseconds}`)
      if (typeof as === 'object' && as.accept !== 'source') res.setHeader('Vary', 'Accept')
      return answerFile(ctx, { rendition, version, again, expiresInSeconds }, options)
    }

    const remembered = original.kind === 'image' && views.remembered({ id: original.id, spec, as, again })
    if (remembered && (await answer(remembered))) return
    await within(ctx, original, async (viewer) => {
      const view = { original: askedBy(ctx.req, original), spec, as, again, viewer }
      await views.view(view, answer, ctx.state.signal)
    })
  }
}

interface FoundFile {
  readonly rendition: Rendition
  readonly version: Version | undefined
  /** nginx did not find the file that it was told to send, so this process sends it. */
  readonly again: boolean
  readonly expiresInSeconds: number | undefined
}

/** @returns false if the file is gone. */
function answerFile(ctx: Context, found: FoundFile, options: PictureAnswerOptions): boolean | Promise<boolean> {
  const { rendition, version, again, expiresInSeconds } = found
  const caching = version
    ? versionCaching(rendition, version, options.now(), expiresInSeconds)
    : uploadCaching(rendition, expiresInSeconds)
  if (caching.ageSeconds !== undefined) ctx.res.setHeader('Age', String(caching.ageSeconds))
  const { front } = options
  // The file exists, so nginx cannot read it.
  if (again && rendition.tier === 'disk') front.failed()
  const hasNginx = front.sendsFiles(ctx.req)
  if (hasNginx) ctx.res.setHeader('X-Darkroom-Tier', rendition.tier)
  const isOurs = !hasNginx || !rendition.published || again
  // nginx takes the validators from the file, and the files of all versions have the same.
  if (isOurs || (version && isConditional(ctx))) return send(ctx, rendition, caching, options)
  accelerate(ctx, { rendition, version, caching }, options)
  front.pointed()
  return true
}

/**
 * Lets nginx send the file. For an upload, nginx's validators and ranges are the same as ours. Cache-Control has a private name,
 * which nginx renames for a picture only, and not for the error response if the file is gone.
 */
function accelerate(
  ctx: Context,
  found: { readonly rendition: Rendition; readonly version: Version | undefined; readonly caching: PictureCaching },
  { front }: PictureAnswerOptions,
): void {
  const { rendition, version, caching } = found
  const { id, file, sizeBytes } = rendition
  // nginx's own 416 would carry the picture's caching headers.
  if (ctx.headers.range !== undefined && isUnsatisfiable(ctx, rendition, caching)) throw new RangeError416(sizeBytes)
  const { res } = ctx
  res.setHeader('X-Accel-Redirect', `${front.accelPrefix}${renditionFolder(id)}/${file}`)
  res.setHeader('X-Darkroom-Cache-Control', caching.cacheControl)
  if (version) {
    res.setHeader('ETag', caching.validators.etag)
    res.setHeader('Last-Modified', caching.validators.lastModified)
  }
  // nginx sends its own.
  res.sendDate = false
  // Koa's way to an empty response takes a twentieth of the time of a hit.
  ctx.respond = false
  res.statusCode = 200
  res.end()
}

function isUnsatisfiable(ctx: Context, { sizeBytes }: Rendition, { validators }: PictureCaching): boolean {
  const conditions = conditionsOf(ctx)
  if (isPreconditionFailed(conditions, validators) || isNotModified(conditions, validators)) return false
  return selectRange(conditions, validators, sizeBytes) === 'unsatisfiable'
}

/** Sends the file by this process. @returns false if the file is gone. */
async function send(
  ctx: Context,
  rendition: Rendition,
  { cacheControl, validators }: PictureCaching,
  { cache }: PictureAnswerOptions,
): Promise<boolean> {
  const { id, file, bytes, sizeBytes } = rendition
  const conditions = conditionsOf(ctx)
  if (isPreconditionFailed(conditions, validators)) {
    throw new RequestError('precondition_failed', SERVER_ERRORS[412].message)
  }
  ctx.set(PICTURE_HEADERS)
  ctx.set({ 'Cache-Control': cacheControl, ETag: validators.etag, 'Last-Modified': validators.lastModified })
  if (isNotModified(conditions, validators)) {
    ctx.status = 304
    return true
  }
  const range = selectRange(conditions, validators, sizeBytes)
  if (range === 'unsatisfiable') throw new RangeError416(sizeBytes)
  const { start, end } = range ?? { start: 0, end: sizeBytes - 1 }
  const body =
    ctx.method === 'HEAD' ? '' : (bytes?.subarray(start, end + 1) ?? (await cache.open(id, file, { start, end })))
  if (body === undefined) return false
  ctx.status = range ? 206 : 200
  if (range) ctx.set('Content-Range', `bytes ${start}-${end}/${sizeBytes}`)
  else ctx.set('Accept-Ranges', 'bytes')
  ctx.body = body
  ctx.length = end - start + 1
  return true
}

function isConditional(ctx: Context): boolean {
  return Object.values(conditionsOf(ctx)).some((value) => value !== undefined)
}
