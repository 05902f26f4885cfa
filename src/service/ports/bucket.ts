import type { OpenObject } from './store.ts'

/** What a bucket has under a key. Another one under the same key has another ETag. */
export interface ObjectVersion {
  /** Quoted, as the server gave it. */
  readonly etag: string
  readonly sizeBytes: number
  /** Whole seconds count: HTTP dates have no more. */
  readonly modifiedAt: Date
  /** Lower-case hex, where the ETag vouches for one of the whole object's bytes; else absent. */
  readonly md5?: string
}

/** An object of somebody else's bucket; of its present version, or of the one that is named. */
export interface ObjectAddress {
  /** As the bucket has it, not encoded. */
  readonly key: string
  readonly versionId?: string | undefined
}

/**
 * A bucket that others fill and change. It is only read. Every method ends by a deadline of the adapter's own or when
 * `signal` aborts (it then throws the signal's reason), and throws `UnavailableError` `store_unavailable` when the server is
 * down, slow, refuses our credentials or lacks the bucket. Those are never taken for an absent key.
 */
export interface Bucket {
  /**
   * What is there now.
   * @param known ETag of the version that is known: then nothing else is told of it.
   * @returns undefined if there is no such key or version.
   */
  look(
    address: ObjectAddress,
    known: string | undefined,
    signal: AbortSignal,
  ): Promise<ObjectVersion | 'unchanged' | undefined>
  /** @returns undefined if the object is no longer the one with this ETag, or is gone. */
  open(address: ObjectAddress, etag: string, signal: AbortSignal): Promise<OpenObject | undefined>
  /** Resolves if the server answers, knows us and has the bucket; else throws with a message that says which it was. */
  check(signal: AbortSignal): Promise<void>
  /** Ends idle connections. Nothing may be under way. */
  close(): void
}
