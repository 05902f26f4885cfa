import { webhookHeaders } from '../../domain/info/webhook.ts'
import type { Sink, SinkSender } from '../../service/ports/sink.ts'
import { createSinkPost, type SinkPostSettings } from './sink-post.ts'

/** A webhook that receives events. */
export interface WebhookSink extends Sink {
  readonly url: string
  readonly secrets: readonly Buffer[]
}

export interface WebhookSenderSettings extends SinkPostSettings {
  /** Milliseconds since 1970. */
  readonly now: () => number
}

export type WebhookSender = SinkSender<WebhookSink>

/** Posts to webhooks, as `SinkPost`. */
export function createWebhookSender({ now, ...settings }: WebhookSenderSettings): WebhookSender {
  const post = createSinkPost(settings)
  return {
    async send({ url, secrets }, message, signal) {
      const headers = webhookHeaders(message, secrets, Math.floor(now() / 1000))
      return await post(url, { headers, body: message.body }, signal)
    },
  }
}
