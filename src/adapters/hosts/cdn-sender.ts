import { type CdnTarget, cdnCalls } from '../../domain/info/cdn-purge.ts'
import type { Sink, SinkSender } from '../../service/ports/sink.ts'
import { createSinkPost, type SinkPostSettings } from './sink-post.ts'

export type CdnSender = SinkSender<Sink & CdnTarget>

/** Purges the subjects of events, which are their tags, as `SinkPost`. */
export function createCdnSender(settings: SinkPostSettings): CdnSender {
  const post = createSinkPost(settings)
  return {
    async send(sink, { events }, signal) {
      const tags = [...new Set(events.map(({ subject }) => subject))]
      for (const { url, ...request } of cdnCalls(sink, tags)) {
        // The next attempt repeats the calls before it.
        const refusal = await post(url, request, signal)
        if (refusal !== undefined) return refusal
      }
      return undefined
    },
  }
}
