import type { Context, Middleware } from 'koa'
import type { SizePolicy } from '../../domain/access/size-policy.ts'
import type { WriteAccess } from '../../domain/access/write-access.ts'
import type { ObjectRef, RemoteRef } from '../../domain/identity/original-ref.ts'
import { visibleInfo } from '../../domain/info/image-info.ts'
import { displayedSize } from '../../domain/picture/original-facts.ts'
import type { InfoService } from '../../service/library/info-service.ts'
import type { OriginalService } from '../../service/originals/original-service.ts'
import type { VersionService } from '../../service/originals/versions.ts'
import { answerJson } from '../answer/json-answer.ts'
import type { AskedBy } from '../request/client-of.ts'
import { assertMayKnow, isTrusted } from '../request/image-request.ts'
import type { RequestState } from '../request/request-state.ts'

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
