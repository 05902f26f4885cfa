/**
 * Which original is meant:
 *
 * - `image`: one that was uploaded here. Its id is the hash of its bytes, so it never changes.
 * - `object`: one that was already in a configured bucket, under any key. It may change, unless a version of it is named.
 * - `remote`: one on an allowed host. It may change.
 */
export type OriginalRef = { readonly kind: 'image'; readonly id: string } | ObjectRef | RemoteRef

/** @see OriginalRef */
export interface ObjectRef {
  readonly kind: 'object'
  /** Alias of a configured bucket. */
  readonly bucket: string
  /** As the bucket has it, not encoded: 1 to 1,024 bytes of UTF-8. */
  readonly key: string
  /** As the bucket names its versions. */
  readonly versionId?: string
}

/** An original as somebody asks for it. */
export type AskedRef = Exclude<OriginalRef, RemoteRef> | AskedRemote

/** A remote image, and the client that asks for it: how many new ones it may add is bounded. */
export interface AskedRemote extends RemoteRef {
  /** By `clientNetwork`. It has no part in which image is meant. */
  readonly client: string
}

/** @see OriginalRef */
export interface RemoteRef {
  readonly kind: 'remote'
  /** Absolute, http or https, as the WHATWG's parser writes it; without credentials and fragment. */
  readonly url: string
  /** Letters and digits: another one is taken for another original, and fetched anew. */
  readonly tag?: string
}
