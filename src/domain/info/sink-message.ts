import { createHash } from 'node:crypto'
import { type CloudEvent, cloudEvent, type ImageEvent } from './image-event.ts'

/** Events that are delivered to a sink together. */
export interface SinkMessage {
  /** The same for each attempt. */
  readonly id: string
  /** A batch of CloudEvents. */
  readonly body: string
  readonly events: readonly CloudEvent[]
}

/** @param source Base of the URLs of images. */
export function sinkMessage(events: readonly ImageEvent[], source: string): SinkMessage {
  const ids = events.map(({ id }) => id).join()
  const cloudEvents = events.map((event) => cloudEvent(event, source))
  return {
    id: `msg_${createHash('sha256').update(ids).digest('hex').slice(0, 32)}`,
    body: JSON.stringify(cloudEvents),
    events: cloudEvents,
  }
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
const LONGEST_CDN_PAUSE_MS = 5 * MINUTE_MS
const MOST_CDN_ATTEMPTS = 900
const LONGEST_RETRY_AFTER_MS = 24 * HOUR_MS
const JITTER = 0.2

export interface FailedAttempt {
  /** From 1. */
  readonly attempts: number
  /** Status of the response; absent: there was none. */
  readonly status?: number
  readonly retryAfterSeconds?: number
  /** Attempts go on for about three days, with short pauses: pictures that are deleted must not stay in a CDN for long. */
  readonly isCdn?: boolean
}

/**
 * Pause before the next attempt, with jitter; `Retry-After` lengthens it.
 * @param random From 0 to 1. @returns undefined: no further attempt.
 */
export function pauseAfter(
  { attempts, status = 0, retryAfterSeconds = 0, isCdn = false }: FailedAttempt,
  random: number,
): number | undefined {
  const pauseMs = isCdn ? cdnPause(attempts) : usualPause(attempts, status)
  if (pauseMs === undefined) return undefined
  const jittered = pauseMs * (1 + JITTER * (2 * random - 1))
  return Math.max(jittered, Math.min(retryAfterSeconds * SECOND_MS, LONGEST_RETRY_AFTER_MS))
}

function usualPause(attempts: number, status: number): number | undefined {
  const isRefusal = status >= 400 && status < 500 && ![408, 425, 429].includes(status)
  return isRefusal && attempts >= ATTEMPTS_AFTER_REFUSAL ? undefined : PAUSES_MS[attempts - 1]
}

function cdnPause(attempts: number): number | undefined {
  if (attempts >= MOST_CDN_ATTEMPTS) return undefined
  return Math.min(PAUSES_MS[attempts - 1] ?? LONGEST_CDN_PAUSE_MS, LONGEST_CDN_PAUSE_MS)
}
