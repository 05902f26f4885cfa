import { createHash, createHmac } from 'node:crypto'
import { SettingError } from '../../errors.ts'
import { cloudEvent, type ImageEvent } from './image-event.ts'

/** A batch of events in the form of Standard Webhooks, with the content of a CloudEvents batch. */
export interface WebhookMessage {
  /** The same for each attempt. */
  readonly id: string
  readonly body: string
}

/** @param source Base of the URLs of images. */
export function webhookMessage(events: readonly ImageEvent[], source: string): WebhookMessage {
  const ids = events.map(({ id }) => id).join()
  return {
    id: `msg_${createHash('sha256').update(ids).digest('hex').slice(0, 32)}`,
    body: JSON.stringify(events.map((event) => cloudEvent(event, source))),
  }
}

/**
 * Headers of one attempt.
 *
 * @param secrets By `parseWebhookSecret`; each gives a signature, for rotation.
 * @param nowSeconds Since 1970.
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export function webhookHeaders(
  { id, body }: WebhookMessage,
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

const SECOND_MS = 1000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS

/** Pauses after each failed attempt. After the last attempt, the batch is a dead letter. */
const PAUSES_MS: readonly number[] = [
  5 * SECOND_MS,
  30 * SECOND_MS,
  2 * MINUTE_MS,
  5 * MINUTE_MS,
  30 * MINUTE_MS,
  2 * HOUR_MS,
  5 * HOUR_MS,
  10 * HOUR_MS,
  14 * HOUR_MS,
  20 * HOUR_MS,
  24 * HOUR_MS,
]
/** Another attempt at the same message changes nothing about it, but other messages wait behind it. */
const ATTEMPTS_AFTER_REFUSAL = 4
const LONGEST_RETRY_AFTER_MS = 24 * HOUR_MS
const JITTER = 0.2

export interface FailedAttempt {
  /** From 1. */
  readonly attempts: number
  /** Status of the response; absent: there was none. */
  readonly status?: number
  readonly retryAfterSeconds?: number
}

/**
 * Pause before the next attempt, with jitter; `Retry-After` lengthens it.
 * @param random From 0 to 1. @returns undefined: no further attempt.
 */
export function pauseAfter(
  { attempts, status = 0, retryAfterSeconds = 0 }: FailedAttempt,
  random: number,
): number | undefined {
  const isRefusal = status >= 400 && status < 500 && ![408, 425, 429].includes(status)
  const pauseMs = isRefusal && attempts >= ATTEMPTS_AFTER_REFUSAL ? undefined : PAUSES_MS[attempts - 1]
  if (pauseMs === undefined) return undefined
  const jittered = pauseMs * (1 + JITTER * (2 * random - 1))
  return Math.max(jittered, Math.min(retryAfterSeconds * SECOND_MS, LONGEST_RETRY_AFTER_MS))
}
