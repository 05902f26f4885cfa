import type { Middleware } from 'koa'
import type { SizePolicy } from '../domain/size-policy.ts'
import { deadline } from './deadline.ts'
import { objectHandler } from './object-handler.ts'
import { type PictureAnswerOptions, pictureAnswer } from './picture-answer.ts'
import { remoteHandler } from './remote-handler.ts'
import { renditionHandler } from './rendition-handler.ts'
import type { RequestState } from './request-state.ts'
import { type VersionInfoOptions, versionInfoAnswer } from './version-info-answer.ts'

export interface PictureHandlersOptions extends PictureAnswerOptions, VersionInfoOptions {
  readonly policy: SizePolicy
  /** For an answer to begin. */
  readonly requestTimeoutMs: number
}

/** What answers the URLs of pictures, each kind of original by its own. */
export interface PictureHandlers {
  /** `/image/…` */
  readonly upload: Middleware<RequestState>
  /** `/s3/…` */
  readonly object: Middleware<RequestState>
  /** `/image?url=…` */
  readonly remote: Middleware<RequestState>
}

export function pictureHandlers(options: PictureHandlersOptions): PictureHandlers {
  const within = deadline(options.requestTimeoutMs)
  const shared = {
    answer: pictureAnswer(options, within),
    infoAnswer: versionInfoAnswer(options, within),
    policy: options.policy,
    now: options.now,
  }
  return { upload: renditionHandler(shared), object: objectHandler(shared), remote: remoteHandler(shared) }
}
