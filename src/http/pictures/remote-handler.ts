import type { Middleware } from 'koa'
import type { Spec } from '../../domain/spec/spec.ts'
import { parseRemoteQuery, respellRemoteQuery } from '../../domain/url/remote-query.ts'
import type { RequestState } from '../request/request-state.ts'
import { answerUrl, type RenditionHandlerOptions } from './rendition-handler.ts'
import type { VersionInfoAnswer } from './version-info-answer.ts'

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
