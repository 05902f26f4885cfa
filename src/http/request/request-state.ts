/** What the middleware of one request tell each other. */
export interface RequestState {
  /** Aborts when the client has gone or the time is over. Set by `deadline`. */
  signal: AbortSignal
  /** How a rendition was come by, for the log and the metrics. */
  tier?: string
  /** What was thrown, for the log. */
  error?: unknown
}
