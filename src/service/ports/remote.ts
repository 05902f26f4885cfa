import type { Readable } from 'node:stream'

/** What an answer of a remote host may be used for, and how long. Times are whole seconds. */
export interface RemoteFreshness {
  /** False if no copy may be kept (`no-store`, `private`). */
  readonly storable: boolean
  /** From now on; 0: it has to be asked every time. */
  readonly freshSeconds: number
  /** After that, while it is being asked; 0: not at all. */
  readonly staleWhileRevalidateSeconds: number
  /** False if an old copy must not be used when the host fails (`must-revalidate` and the like). */
  readonly staleIfError: boolean
}

/** By which a remote host knows the copy that we have. As it sent them. */
export interface RemoteValidators {
  readonly etag?: string | undefined
  readonly lastModified?: string | undefined
}

export type RemoteAnswer =
  | { readonly kind: 'unchanged'; readonly freshness: RemoteFreshness; readonly validators: RemoteValidators }
  | {
      readonly kind: 'body'
      /**
       * The caller consumes or destroys it. Errors with `RemoteError` `remote_failed` when it stalls, is cut or takes too
       * long, and with OriginalError `original_too_large`.
       */
      readonly body: Readable
      readonly freshness: RemoteFreshness
      readonly validators: RemoteValidators
    }

/** HTTP servers that originals are fetched from. */
export interface RemoteSource {
  /**
   * Asks once; follows redirects, and checks every host and every address that it connects to.
   *
   * @param url As in `RemoteRef`.
   * @param known Of the copy that we have.
   * @throws RequestError `remote_not_allowed`; OriginalError `original_not_found`, `original_too_large`; RemoteError
   *   `remote_failed`; UnavailableError `overloaded` if too many are being fetched; the signal's reason.
   */
  fetch(url: string, known: RemoteValidators, signal: AbortSignal): Promise<RemoteAnswer>
  /** Ends idle connections. */
  close(): Promise<void>
}
