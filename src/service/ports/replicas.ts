import type { EndpointCalls } from './meter.ts'

/** Reads of originals, mezzanines and aliases from the endpoints of the store: the primary and its replicas. */
export interface StoreReads {
  /** Nearest first. */
  readonly endpoints: readonly StoreEndpoint[]
  /** Repetitions of slow reads, and those whose answer came first. */
  readonly hedges: { readonly sent: number; readonly won: number }
  /** Asks the endpoints that reads avoid whether they respond again. Throws only the reason of `signal`. */
  probe(signal: AbortSignal): Promise<void>
  /** While the primary cannot be asked, replicas are not believed to have these images. */
  forget(ids: ReadonlySet<string>): void
}

export interface StoreEndpoint {
  /** `store` for the primary, else `replica:<n>`. */
  readonly label: string
  /** Reads that it has answered. */
  readonly served: number
  /** Whether reads avoid it: its circuit breaker is open, or it leaves reads without a response. */
  readonly isAside: boolean
  /** Absent: it is not a server. */
  readonly calls?: EndpointCalls
}
