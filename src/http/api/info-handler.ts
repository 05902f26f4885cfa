import type { Middleware } from 'koa'
import type { SizePolicy } from '../../domain/access/size-policy.ts'
import type { WriteAccess } from '../../domain/access/write-access.ts'
import { visibleInfo } from '../../domain/info/image-info.ts'
import { imageUrls } from '../../domain/info/image-urls.ts'
import type { InfoService } from '../../service/library/info-service.ts'
import type { RecordService } from '../../service/library/record-service.ts'
import { answerJson } from '../answer/json-answer.ts'
import type { RequestState } from '../request/request-state.ts'
import { assertMayKnow, idOf, isTrusted } from '../request/request-state.ts'

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
