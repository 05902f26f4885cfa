import type { EventType } from '../../domain/info/image-event.ts'
import type { SinkMessage } from '../../domain/info/sink-message.ts'

/** A system that receives events: a webhook, a queue of a broker, or the API of a CDN. */
export interface Sink {
  /** Part of keys in the store. */
  readonly name: string
  /** Types of events that it receives. Absent: all. */
  readonly types?: readonly EventType[]
  /** A refusal is never due to the events of a message, so that attempts go on: see `pauseAfter`. */
  readonly isCdn?: boolean
  /** Minimum age of a batch of events that it receives, in milliseconds. */
  readonly delayMs?: number
}

export interface SinkRefusal {
  /** Of HTTP. */
  readonly status: number
  readonly retryAfterSeconds?: number
}

export interface SinkSender<S extends Sink> {
  /**
   * Delivers a message.
   * @returns undefined if the sink has accepted all of its events.
   * @throws RequestError `remote_not_allowed` for an address that is not allowed; RemoteError; the signal's reason.
   */
  send(sink: S, message: SinkMessage, signal: AbortSignal): Promise<SinkRefusal | undefined>
}
