import { createHmac } from 'node:crypto'
import { SettingError } from '../../errors.ts'
import type { SinkMessage } from './sink-message.ts'

/**
 * Headers of one attempt.
 *
 * @param secrets By `parseWebhookSecret`; each gives a signature, for rotation.
 * @param nowSeconds Since 1970.
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export function webhookHeaders(
  { id, body }: Pick<SinkMessage, 'id' | 'body'>,
  secrets: readonly Buffer[],
  nowSeconds: number,
): Readonly<Record<string, string>> {
  const signed = `${id}.${nowSeconds}.${body}`
  const signatures = secrets.map((secret) => `v1,${createHmac('sha256', secret).update(signed).digest('base64')}`)
  return {
    'content-type': 'application/cloudevents-batch+json',
    'user-agent': 'Darkroom',
    'webhook-id': id,
    'webhook-timestamp': String(nowSeconds),
    'webhook-signature': signatures.join(' '),
  }
}

const FEWEST_BYTES = 24

/** Key of a secret such as `whsec_MfKQ9r8G…`. @throws SettingError that does not repeat it. */
export function parseWebhookSecret(text: string): Buffer {
  const { encoded } = /^whsec_(?<encoded>[A-Za-z0-9+/]+={0,2})$/.exec(text)?.groups ?? {}
  const key = Buffer.from(encoded ?? '', 'base64')
  if (key.length >= FEWEST_BYTES) return key
  throw new SettingError(
    `should be whsec_ and the base64 of at least ${FEWEST_BYTES} bytes: echo "whsec_$(openssl rand -base64 32)"`,
  )
}
