import type { Context, Middleware } from 'koa'
import type { SizePolicy } from '../../domain/access/size-policy.ts'
import type { WriteAccess } from '../../domain/access/write-access.ts'
import type { ObjectRef, RemoteRef } from '../../domain/identity/original-ref.ts'
import { visibleInfo } from '../../domain/info/image-info.ts'
import { displayedSize } from '../../domain/picture/original-facts.ts'
import type { Spec } from '../../domain/spec/spec.ts'
import { formatPictureTail } from '../../domain/url/picture-tail.ts'
import { parseObjectPath, parseRemoteQuery, respellRemoteQuery } from '../../domain/url/picture-url.ts'
import { assertNoQueryOptions } from '../../domain/url/query-options.ts'
import type { InfoService } from '../../service/library/info-service.ts'
import type { OriginalService } from '../../service/originals/fetch.ts'
import type { VersionService } from '../../service/originals/versions.ts'
import { answerJson } from '../answer/json-answer.ts'
import type { AskedBy, RequestState } from '../request/request-state.ts'
import { assertMayKnow, isTrusted } from '../request/request-state.ts'
import { answerUrl, type RenditionHandlerOptions, withQuery } from './rendition-handler.ts'

export interface ObjectHandlerOptions extends RenditionHandlerOptions {
  readonly infoAnswer: VersionInfoAnswer
}

/** `GET /s3/<bucket>/<key>/-/<spec>`, `…/<spec>.<ext>`, `…/<spec>/<name>.<ext>` and `…/-/info`, of an object that is already in a configured bucket. */
export function objectHandler(options: ObjectHandlerOptions): Middleware<RequestState> {
  return async (ctx) => {
    assertNoQueryOptions(ctx.path, ctx.querystring)
    const versionId = new URLSearchParams(ctx.querystring).get('versionId') ?? undefined
    const asked = parseObjectPath(ctx.path, versionId)
    if (asked.kind === 'info') {
      await options.infoAnswer(ctx, asked.original)
      return
    }
    const { request, prefix } = asked
    const spell = (spec: Spec) => prefix + formatPictureTail({ ...request, spec })
    const isCanonical = spell(request.spec) === ctx.path
    const read = { request, spell: (spec: Spec) => withQuery(spell(spec), ctx.querystring), isCanonical }
    await answerUrl(ctx, read, options)
  }
}

export interface VersionInfoOptions {
  readonly versions: VersionService
  readonly originals: OriginalService
  readonly infos: InfoService
  /** Who holds a token sees what the file says of its making. */
  readonly access: WriteAccess
  /** And also where it was taken. */
  readonly showGps: boolean
  readonly policy: SizePolicy
  readonly askedBy: AskedBy
}

export type VersionInfoAnswer = (
  ctx: Context & { state: RequestState },
  original: ObjectRef | RemoteRef,
) => Promise<void>

/** All that is known of an original that is kept elsewhere: what `GET /images/<id>/info` says of an upload. */
export function versionInfoAnswer(options: VersionInfoOptions, within: Middleware<RequestState>): VersionInfoAnswer {
  const { versions, originals, infos, access, showGps, policy, askedBy } = options
  async function answer(ctx: Context & { state: RequestState }, original: ObjectRef | RemoteRef): Promise<void> {
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
  return async (ctx, original) => {
    await within(ctx, () => answer(ctx, original))
  }
}

export interface RemoteHandlerOptions extends RenditionHandlerOptions {
  readonly infoAnswer: VersionInfoAnswer
}

/** `GET /image?url=<url>[&size=<spec>][&format=<ext>]` and `…&size=info`, of an image on an allowed host. */
export function remoteHandler(options: RemoteHandlerOptions): Middleware<RequestState> {
  return async (ctx) => {
    const asked = parseRemoteQuery(ctx.querystring)
    if (asked.kind === 'info') {
      await options.infoAnswer(ctx, asked.original)
      return
    }
    const { request, isCanonical } = asked
    const spell = (spec: Spec) => `/image?${respellRemoteQuery(ctx.querystring, { ...request, spec })}`
    await answerUrl(ctx, { request, spell, isCanonical }, options)
  }
}
