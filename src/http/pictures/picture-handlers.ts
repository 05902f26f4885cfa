import type { Context, Middleware } from 'koa'
import { signText } from '../../domain/access/signature.ts'
import { admit, type SizePolicy } from '../../domain/access/size-policy.ts'
import type { ObjectRef, RemoteRef } from '../../domain/identity/image-id.ts'
import { visibleInfo } from '../../domain/info/image-info.ts'
import { displayedSize } from '../../domain/picture/original-facts.ts'
import type { Spec } from '../../domain/spec/spec.ts'
import { assertNoQueryOptions, formatPictureTail } from '../../domain/url/picture-tail.ts'
import {
  formatImagePath,
  type ImageRequest,
  parseImagePath,
  parseObjectPath,
  parseRemoteQuery,
  respellRemoteQuery,
} from '../../domain/url/picture-url.ts'
import type { OriginalService } from '../../service/originals/fetch.ts'
import { memoize } from '../../service/tools/memoize.ts'
import { answerJson } from '../answer/error-response.ts'
import type { NotFoundLimit } from '../request/not-found-limit.ts'
import { assertMayKnow, deadline, isTrusted, type RequestState } from '../request/request-state.ts'
import { dialectHandler, type OtherServicesOptions, rethumbErrors, rethumbHandler } from './other-services.ts'
import { choiceOf, type PictureAnswer, type PictureAnswerOptions, pictureAnswer } from './picture-answer.ts'
import { type PictureAliasOptions, pictureAlias, redirect, withQuery } from './redirect.ts'

export interface PictureHandlersOptions
  extends PictureAnswerOptions,
    PictureAliasOptions,
    Omit<OtherServicesOptions, 'answer' | 'within'> {
  readonly originals: OriginalService
  /** For an answer to begin. */
  readonly requestTimeoutMs: number
  readonly notFoundLimit: NotFoundLimit
  /** Reads the size in `/image/…`: `parseSpec` or `parseSpecOrReticulumSize`. */
  readonly readSpec: (text: string) => Spec
  /** The answer to rethumb URLs that fail: a PNG. */
  readonly errorPicture: Buffer
}

/** The handlers of picture URLs, by kind of original. */
export interface PictureHandlers {
  /** `GET /image/<id>/<spec>`, `…/<spec>.<ext>` and `…/<spec>/<name>.<ext>` */
  readonly upload: Middleware<RequestState>
  /** `GET /s3/<bucket>/<key>/-/<spec>`, `…/<spec>.<ext>`, `…/<spec>/<name>.<ext>` and `…/-/info` */
  readonly object: Middleware<RequestState>
  /** `GET /image?url=<url>[&size=<spec>][&format=<ext>]` and `…&size=info` */
  readonly remote: Middleware<RequestState>
  /** `GET /v1/…` in rethumb's grammar */
  readonly rethumb: Middleware<RequestState>
  /** The URLs of other services; passes on everything else. Absent: none is mounted. */
  readonly dialects?: Middleware<RequestState>
}

/** Options of the handlers of all kinds of originals. */
interface UrlHandlerOptions extends Pick<PictureHandlersOptions, 'policy' | 'now'> {
  readonly answer: PictureAnswer
  readonly answerInfo: (ctx: Context & { state: RequestState }, original: ObjectRef | RemoteRef) => Promise<void>
}

const SIGNATURE_MEMORY_BYTES = 2 * 1024 * 1024
const NO_QUERY = new URLSearchParams()
const PATH_MEMORY_BYTES = 4 * 1024 * 1024
const REDIRECT_SECONDS = 86_400
const FALLBACK_SECONDS = 3600

export function pictureHandlers(options: PictureHandlersOptions): PictureHandlers {
  const timed = deadline(options.requestTimeoutMs)
  const aliased = pictureAlias(options)
  const within: NotFoundLimit = async (ctx, original, work) => {
    await timed(ctx, () =>
      options.notFoundLimit(ctx, original, async (viewer) => void (await aliased(ctx, () => work(viewer)))),
    )
  }
  const shared = {
    ...options,
    policy: rememberSignatures(options.policy),
    within,
    answer: pictureAnswer(options, within),
    async answerInfo(ctx: Context & { state: RequestState }, original: ObjectRef | RemoteRef) {
      await within(ctx, original, () => answerVersionInfo(ctx, original, options))
    },
  }
  return {
    upload: uploadHandler(shared),
    object: objectHandler(shared),
    remote: remoteHandler(shared),
    rethumb: rethumbErrors(options.errorPicture, rethumbHandler(shared)),
    ...(options.dialects.mounts.length > 0 && { dialects: dialectHandler(shared) }),
  }
}

/** Computes the signatures of a path once, as an HMAC takes 10 us. They are still compared in constant time. */
function rememberSignatures(policy: SizePolicy): SizePolicy {
  if (policy.kind !== 'signed') return policy
  const signers = new Map(
    policy.keys.map((key) => {
      const bytes = SIGNATURE_MEMORY_BYTES / policy.keys.length
      return [key, memoize((text) => ({ signature: signText(text, key) }), bytes)]
    }),
  )
  return { ...policy, sign: (text, key) => signers.get(key)?.(text).signature ?? signText(text, key) }
}

export function uploadHandler(
  options: Pick<UrlHandlerOptions, 'answer' | 'policy' | 'now'> & Pick<PictureHandlersOptions, 'readSpec'>,
): Middleware<RequestState> {
  // Parsing the path took a sixth of the time of a hit.
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

export function objectHandler(options: UrlHandlerOptions): Middleware<RequestState> {
  return async (ctx) => {
    assertNoQueryOptions(ctx.path, ctx.querystring)
    const versionId = new URLSearchParams(ctx.querystring).get('versionId') ?? undefined
    const asked = parseObjectPath(ctx.path, versionId)
    if (asked.kind === 'info') {
      await options.answerInfo(ctx, asked.original)
      return
    }
    const { request, prefix } = asked
    const spellPath = (spec: Spec) => prefix + formatPictureTail({ ...request, spec })
    const isCanonical = spellPath(request.spec) === ctx.path
    const spell = (spec: Spec) => withQuery(spellPath(spec), ctx.querystring)
    await answerUrl(ctx, { request, spell, isCanonical }, options)
  }
}

export function remoteHandler(options: UrlHandlerOptions): Middleware<RequestState> {
  return async (ctx) => {
    const asked = parseRemoteQuery(ctx.querystring)
    if (asked.kind === 'info') {
      await options.answerInfo(ctx, asked.original)
      return
    }
    const { request, isCanonical } = asked
    const spell = (spec: Spec) => `/image?${respellRemoteQuery(ctx.querystring, { ...request, spec })}`
    await answerUrl(ctx, { request, spell, isCanonical }, options)
  }
}

/** A URL that has been parsed. */
interface ReadUrl {
  readonly request: ImageRequest
  /** The same URL, without its host, in the canonical spelling and with this spec. */
  spell(spec: Spec): string
  readonly isCanonical: boolean
}

/** Redirects from another spelling to the canonical one, checks the size policy, and answers with the picture. */
async function answerUrl(
  ctx: Context & { state: RequestState },
  { request, spell, isCanonical }: ReadUrl,
  { answer, policy, now }: Pick<UrlHandlerOptions, 'answer' | 'policy' | 'now'>,
): Promise<void> {
  const { original, spec, format } = request
  if (!isCanonical) {
    redirect(ctx, spell(spec), 301, REDIRECT_SECONDS)
    return
  }
  const query = ctx.querystring === '' ? NO_QUERY : new URLSearchParams(ctx.querystring)
  const admission = admit(request, query, policy, Math.floor(now() / 1000))
  if (admission.redirect) {
    redirect(ctx, spell(admission.redirect), 302, FALLBACK_SECONDS)
    return
  }
  const { expiresInSeconds, step = spec } = admission
  await answer(ctx, { original, spec: step, as: choiceOf(ctx, format ?? 'negotiated'), expiresInSeconds })
}

/** Metadata of an object or a remote image: what `GET /images/<id>/info` answers for an upload. */
async function answerVersionInfo(
  ctx: Context & { state: RequestState },
  original: ObjectRef | RemoteRef,
  { versions, originals, infos, access, showGps, policy, askedBy }: PictureHandlersOptions,
): Promise<void> {
  assertMayKnow(ctx, policy, access)
  const trusted = isTrusted(ctx, access)
  const { signal } = ctx.state
  const value = await versions.use(askedBy(ctx.req, original), signal, async (id, version) => {
    const { facts } = await originals.ready({ id }, signal)
    const { format, alpha, frames } = facts
    const info = await infos.info(id, signal)
    return {
      ...displayedSize(facts),
      format,
      bytes: version?.sizeBytes,
      alpha,
      frames,
      ...(version?.modifiedAt && { modifiedAt: version.modifiedAt.toISOString() }),
      ...visibleInfo(info, { isTrusted: trusted, showGps }),
    }
  })
  answerJson(ctx, value, { 'Cache-Control': trusted ? 'private, no-cache' : 'no-cache', Vary: 'Authorization' })
}
