import type { Readable } from 'node:stream'
import type { EndpointCalls } from './meter.ts'

/** How a response of a remote host may be cached. Times are whole seconds. */
export interface RemoteFreshness {
  /** False if the response must not be stored (`no-store`, `private`). */
  readonly storable: boolean
  /** From now on; 0: each use needs a revalidation. */
  readonly freshSeconds: number
  /** After the fresh time, during a revalidation. */
  readonly staleWhileRevalidateSeconds: number
  /** False if an old copy must not be used when the host fails (such as `must-revalidate`). */
  readonly staleIfError: boolean
}

/** Validators of a copy, as the host sent them. */
export interface RemoteValidators {
  readonly etag?: string | undefined
  readonly lastModified?: string | undefined
}

export type RemoteAnswer =
  | { readonly kind: 'unchanged'; readonly freshness: RemoteFreshness; readonly validators: RemoteValidators }
  | {
      readonly kind: 'body'
      /**
       * The caller consumes or destroys it. Errors with RemoteError `remote_failed` when it stalls, is truncated or exceeds
       * its timeout, and with OriginalError `original_too_large`.
       */
      readonly body: Readable
      readonly freshness: RemoteFreshness
      readonly validators: RemoteValidators
    }

/** HTTP servers with originals. */
export interface RemoteSource {
  /**
   * One request. Follows redirects, and checks every host and every address before it connects.
   *
   * @param url As in `RemoteRef`.
   * @param known Of a copy, for a conditional request.
   * @throws RequestError `remote_not_allowed`; OriginalError `original_not_found`, `original_too_large`; RemoteError
   *   `remote_failed`; UnavailableError `overloaded` if too many fetches are in progress; the signal's reason.
   */
  fetch(url: string, known: RemoteValidators, signal: AbortSignal): Promise<RemoteAnswer>
  /** Of all hosts. Absent: there are none. */
  readonly calls?: EndpointCalls
  /** Ends idle connections. */
  close(): Promise<void>
}
