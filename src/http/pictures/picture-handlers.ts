import type { Middleware } from 'koa'
import type { SizePolicy } from '../../domain/access/size-policy.ts'
import type { DialectSettings } from '../../domain/dialect/dialects.ts'
import type { Spec } from '../../domain/spec/spec.ts'
import { deadline } from '../request/deadline.ts'
import type { RequestState } from '../request/request-state.ts'
import { type PictureAliasOptions, pictureAlias } from './alias-redirect.ts'
import { dialectHandler } from './dialect-handler.ts'
import { objectHandler, remoteHandler, type VersionInfoOptions, versionInfoAnswer } from './object-handler.ts'
import { type PictureAnswerOptions, pictureAnswer } from './picture-answer.ts'
import { renditionHandler } from './rendition-handler.ts'
import { rethumbErrors, rethumbHandler } from './rethumb-handler.ts'

export interface PictureHandlersOptions extends PictureAnswerOptions, PictureAliasOptions, VersionInfoOptions {
  readonly policy: SizePolicy
  /** For an answer to begin. */
  readonly requestTimeoutMs: number
  readonly dialects: DialectSettings
  /** Reads the size in `/image/…`. */
  readonly readSpec: (text: string) => Spec
  /** Shown where a page asked in rethumb's grammar for what is not to be had; a PNG. */
  readonly errorPicture: Buffer
}

/** What answers the URLs of pictures, each kind of original by its own. */
export interface PictureHandlers {
  /** `/image/…` */
  readonly upload: Middleware<RequestState>
  /** `/s3/…` */
  readonly object: Middleware<RequestState>
  /** `/image?url=…` */
  readonly remote: Middleware<RequestState>
  /** `/v1/…` */
  readonly rethumb: Middleware<RequestState>
  /** Of other services, where they are mounted; passes on everything else. */
  readonly dialects: Middleware<RequestState>
}

export function pictureHandlers(options: PictureHandlersOptions): PictureHandlers {
  const timed = deadline(options.requestTimeoutMs)
  const aliased = pictureAlias(options)
  const within: Middleware<RequestState> = async (ctx, next) => {
    await timed(ctx, async () => void (await aliased(ctx, next)))
  }
  const shared = {
    ...options,
    answer: pictureAnswer(options, within),
    infoAnswer: versionInfoAnswer(options, within),
  }
  return {
    upload: renditionHandler(shared),
    object: objectHandler(shared),
    remote: remoteHandler(shared),
    rethumb: rethumbErrors(options.errorPicture, rethumbHandler(shared, within)),
    dialects: dialectHandler(shared),
  }
}
