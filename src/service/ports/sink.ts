/** A webhook that receives events. */
export interface Sink {
  /** Part of keys in the store. */
  readonly name: string
  readonly url: string
  readonly secrets: readonly Buffer[]
}

export interface SinkAnswer {
  readonly status: number
  readonly retryAfterSeconds?: number
}

export interface SinkSender {
  /**
   * Posts a message. Redirects are not followed.
   * @throws RequestError `remote_not_allowed` for an address that is not allowed; RemoteError; the signal's reason.
   */
  send(
    sink: Sink,
    message: { readonly headers: Readonly<Record<string, string>>; readonly body: string },
    signal: AbortSignal,
  ): Promise<SinkAnswer>
}
