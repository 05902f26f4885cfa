import type { Middleware } from 'koa'
import { visibleInfo } from '../domain/image-info.ts'
import { imageUrls } from '../domain/image-urls.ts'
import type { SizePolicy } from '../domain/size-policy.ts'
import type { WriteAccess } from '../domain/write-access.ts'
import type { InfoService } from '../service/info-service.ts'
import type { RecordService } from '../service/record-service.ts'
import { assertMayKnow, idOf, isTrusted } from './image-request.ts'
import { answerJson } from './json-answer.ts'
import type { RequestState } from './request-state.ts'

export interface InfoHandlerOptions {
  readonly records: RecordService
  readonly infos: InfoService
  /** Who holds a token sees what the file says of its making. */
  readonly access: WriteAccess
  /** And also where it was taken. */
  readonly showGps: boolean
  readonly policy: SizePolicy
  /** What URLs in answers begin with; empty: a slash. */
  readonly publicUrl: string
}

/** `GET /images/<id>/info`: the record, and all that is measured or said by the file. */
export function infoHandler(options: InfoHandlerOptions): Middleware<RequestState> {
  const { records, infos, access, showGps, policy, publicUrl } = options
  return async (ctx) => {
    assertMayKnow(ctx, policy, access)
    const id = idOf(ctx)
    const record = await records.record(id, ctx.state.signal)
    const info = await infos.info(id, ctx.state.signal)
    const trusted = isTrusted(ctx, access)
    const value = {
      ...record,
      ...visibleInfo(info, { isTrusted: trusted, showGps }),
      urls: imageUrls(record, publicUrl, policy),
    }
    // The image may be deleted: a copy is checked before it is used again. And no shared cache has what needs a token.
    answerJson(ctx, value, {
      'Cache-Control': trusted ? 'private, no-cache' : 'no-cache',
      Vary: 'Authorization',
    })
  }
}
