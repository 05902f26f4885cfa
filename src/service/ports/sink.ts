import type { SinkMessage } from '../../domain/info/sink-message.ts'

/** A system that receives events: a webhook, or a queue of a broker. */
export interface Sink {
  /** Part of keys in the store. */
  readonly name: string
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
