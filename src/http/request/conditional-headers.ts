import type { Context } from 'koa'
import type { ConditionalHeaders } from '../../domain/caching/http-caching.ts'

/** What a request says of the copy that its client has, and of the part that it wants. */
export function conditionsOf(ctx: Context): ConditionalHeaders {
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
