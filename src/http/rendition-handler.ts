import type { Context, Middleware } from 'koa'
import { renditionFolder } from '../domain/cache-layout.ts'
import {
  type ConditionalHeaders,
  fileValidators,
  isNotModified,
  isPreconditionFailed,
  renditionCacheControl,
  selectRange,
} from '../domain/http-caching.ts'
import { acceptClass, contentTypeOf } from '../domain/image-format.ts'
import { formatImagePath, parseImagePath } from '../domain/image-path.ts'
import { admit, type SizePolicy } from '../domain/size-policy.ts'
import { RequestError, UnavailableError } from '../errors.ts'
import { memoize } from '../service/memoize.ts'
import type { ImageCache } from '../service/ports.ts'
import type { Rendition, RenditionService } from '../service/rendition-service.ts'
import { RangeError416 } from './error-response.ts'
import type { RequestState } from './request-state.ts'

export interface RenditionHandlerOptions {
  readonly service: RenditionService
  readonly cache: ImageCache
  readonly policy: SizePolicy
  /** nginx's internal location over `CACHE_DIR/renditions`, ending in a slash; empty: this process sends the file. */
  readonly accelPrefix: string
  readonly now: () => number
}

// The same on every answer with a picture, whether nginx, a redirect or this process sent it: see nginx.conf. Where this
// process only points nginx at a file they are left out, since nginx puts on its own.
const PICTURE_HEADERS = {
  'Access-Control-Allow-Origin': '*',
  'Cross-Origin-Resource-Policy': 'cross-origin',
  'Timing-Allow-Origin': '*',
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox",
}
const PATH_MEMORY_BYTES = 4 * 1024 * 1024
const REDIRECT_SECONDS = 86_400
const FALLBACK_SECONDS = 3600

/**
 * `GET /image/<id>/<spec>[/<name>.<ext>]`: Node decides, nginx sends the file.
 * @param within Sets the signal of the request; what memory knows needs none.
 */
export function renditionHandler(
  options: RenditionHandlerOptions,
  within: Middleware<RequestState>,
): Middleware<RequestState> {
  const { service, policy, accelPrefix, now } = options
  // A hot picture's path is read once: reading it took a sixth of the time of a hit.
  const readPath = memoize((given) => {
    const request = parseImagePath(given)
    return { request, path: formatImagePath(request) }
  }, PATH_MEMORY_BYTES)
  return async (ctx) => {
    const began = performance.now()
    const { request, path } = readPath(ctx.path)
    if (path !== ctx.path) {
      redirect(ctx, path, 301, REDIRECT_SECONDS)
      return
    }
    const nowSeconds = Math.floor(now() / 1000)
    const admission = admit(request, new URLSearchParams(ctx.querystring), policy, nowSeconds)
    if (admission.redirect) {
      redirect(ctx, formatImagePath({ ...request, spec: admission.redirect }), 302, FALLBACK_SECONDS)
      return
    }
    const { id, spec, format } = request
    const as = format ?? { accept: acceptClass(ctx.headers.accept) }
    const again = ctx.get('X-Render-Again') !== ''
    const wanted = { id, spec, as, again }
    const answer = (rendition: Rendition): boolean | Promise<boolean> => {
      ctx.state.tier = rendition.tier
      setHeaders(ctx, {
        'Content-Type': contentTypeOf(rendition.format),
        'Cache-Tag': id,
        'Server-Timing': `cache;desc="${rendition.tier}", node;dur=${(performance.now() - began).toFixed(1)}`,
        ...(format === undefined && { Vary: 'Accept' }),
      })
      const cacheControl = renditionCacheControl(admission.expiresInSeconds)
      // nginx found no file where it was sent before, so it is not sent there again.
      if (accelPrefix === '' || !rendition.published || again) return send(ctx, rendition, cacheControl, options)
      accelerate(ctx, rendition, cacheControl, options)
      return true
    }
    const remembered = service.remembered(wanted)
    if (remembered && (await answer(remembered))) return
    await within(ctx, async () => {
      const { signal } = ctx.state
      if (!remembered && (await answer(await service.rendition(wanted, signal)))) return
      // Deleted between look-up and opening, by a sweep.
      if (await answer(await service.rendition({ ...wanted, again: true }, signal))) return
      throw new UnavailableError('disk_unavailable', 'The disk of the cache fails; try again')
    })
  }
}

/** `ctx.set`, straight to Node: Koa's own ways took a tenth of the time of a hit. */
function setHeaders({ res }: Context, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
}

function redirect(ctx: Context, path: string, status: 301 | 302, maxAgeSeconds: number): void {
  ctx.set(PICTURE_HEADERS)
  ctx.set('Cache-Control', `public, max-age=${maxAgeSeconds}`)
  ctx.status = status
  ctx.set('Location', ctx.querystring === '' ? path : `${path}?${ctx.querystring}`)
  ctx.body = ''
}

/**
 * nginx sends the file, with its own validators and ranges, which are the same as ours. What it may be cached for travels
 * under a private name: nginx puts it on the picture only, and never on the error that a vanished file becomes.
 */
function accelerate(ctx: Context, rendition: Rendition, cacheControl: string, options: RenditionHandlerOptions): void {
  const { id, file, sizeBytes, tier } = rendition
  // nginx's own 416 would carry the picture's caching headers.
  if (ctx.headers.range !== undefined && isUnsatisfiable(ctx, rendition)) throw new RangeError416(sizeBytes)
  setHeaders(ctx, {
    'X-Accel-Redirect': `${options.accelPrefix}${renditionFolder(id)}/${file}`,
    'X-Darkroom-Cache-Control': cacheControl,
    'X-Darkroom-Tier': tier,
  })
  ctx.body = ''
}

function isUnsatisfiable(ctx: Context, { mtimeSeconds, sizeBytes }: Rendition): boolean {
  const validators = fileValidators(mtimeSeconds, sizeBytes)
  const conditions = conditionsOf(ctx)
  if (isPreconditionFailed(conditions, validators) || isNotModified(conditions, validators)) return false
  return selectRange(conditions, validators, sizeBytes) === 'unsatisfiable'
}

/** The same answer by this process itself. @returns false if the file is gone. */
async function send(
  ctx: Context,
  rendition: Rendition,
  cacheControl: string,
  { cache, accelPrefix }: RenditionHandlerOptions,
): Promise<boolean> {
  const { id, file, bytes, sizeBytes, mtimeSeconds, tier } = rendition
  const validators = fileValidators(mtimeSeconds, sizeBytes)
  const conditions = conditionsOf(ctx)
  if (isPreconditionFailed(conditions, validators)) {
    throw new RequestError('precondition_failed', 'The picture is another one than the request is conditional on')
  }
  ctx.set(PICTURE_HEADERS)
  ctx.set({ 'Cache-Control': cacheControl, ETag: validators.etag, 'Last-Modified': validators.lastModified })
  if (accelPrefix !== '') ctx.set('X-Darkroom-Tier', tier)
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

function conditionsOf(ctx: Context): ConditionalHeaders {
  const { headers } = ctx.req
  return {
    ifMatch: headers['if-match'],
    ifNoneMatch: headers['if-none-match'],
    ifModifiedSince: headers['if-modified-since'],
    ifUnmodifiedSince: headers['if-unmodified-since'],
    ifRange: typeof headers['if-range'] === 'string' ? headers['if-range'] : undefined,
    range: headers.range,
  }
}
