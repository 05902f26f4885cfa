/** Measurements of the services, in seconds. */
export interface Meter {
  rendered(seconds: number): void
  fetched(seconds: number): void
  waited(seconds: number): void
  /** A dependency failed, and the service continues without it. */
  trouble(message: string, cause: unknown): void
}

/**
 * How a call to an endpoint ended. `ok`: the server responded, also with "no such object". `unreachable`: no connection, or a remote
 * host without a response. `timeout`, `busy`, `denied`, `full`: of the store and buckets, as is `invalid`, an unexpected response or
 * body. `not_sent`: the circuit breaker is open, or too many calls wait. `canceled`: the caller no longer needs it.
 */
export type CallOutcome =
  | 'ok'
  | 'unreachable'
  | 'timeout'
  | 'busy'
  | 'denied'
  | 'full'
  | 'invalid'
  | 'not_sent'
  | 'canceled'

/** Calls to an endpoint since the start. Retries belong to their call. */
export interface EndpointCalls {
  readonly outcomes: Readonly<Record<CallOutcome, number>>
  readonly isBreakerOpen: boolean
}
