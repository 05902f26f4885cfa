import type { Middleware } from 'koa'
import type { Spec } from '../../domain/spec/spec.ts'
import { parseObjectPath } from '../../domain/url/object-path.ts'
import { formatPictureTail } from '../../domain/url/picture-tail.ts'
import { assertNoQueryOptions } from '../../domain/url/query-options.ts'
import type { RequestState } from '../request/request-state.ts'
import { answerUrl, type RenditionHandlerOptions, withQuery } from './rendition-handler.ts'
import type { VersionInfoAnswer } from './version-info-answer.ts'

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
