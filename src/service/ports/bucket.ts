import type { EndpointCalls } from './meter.ts'
import type { OpenObject } from './store.ts'

/** One state of an object. Another state of the same key has another ETag. */
export interface ObjectVersion {
  /** Quoted, as the server sent it. */
  readonly etag: string
  readonly sizeBytes: number
  /** Whole seconds, as in an HTTP date. */
  readonly modifiedAt: Date
  /** Lower-case hex. Absent if the ETag is no MD5 of the whole object. */
  readonly md5?: string
}

/** A version, and its bytes as they arrive. */
export interface ReadVersion {
  readonly version: ObjectVersion
  readonly object: OpenObject
}

/** An object in a bucket of others: the current version, or the named one. */
export interface ObjectAddress {
  /** Not encoded. */
  readonly key: string
  readonly versionId?: string | undefined
}

/**
 * A bucket that other programs fill and change. Darkroom only reads it. Every method has a deadline, and throws the
 * reason of `signal` when that aborts. It throws `UnavailableError` `store_unavailable` if the server is down or slow,
 * refuses the credentials or has no such bucket: none of these is reported as an absent key.
 */
export interface Bucket {
  /**
   * Requests the current version.
   * @param known ETag of a known version, for a conditional request.
   * @returns undefined if there is no such key or version.
   */
  look(
    address: ObjectAddress,
    known: string | undefined,
    signal: AbortSignal,
  ): Promise<ObjectVersion | 'unchanged' | undefined>
  /**
   * Requests the current version with its bytes.
   * @returns undefined if there is no such key or version. The caller consumes or destroys the body.
   */
  read(address: ObjectAddress, signal: AbortSignal): Promise<ReadVersion | undefined>
  /** @returns undefined if the object has another ETag by now, or no longer exists. */
  open(address: ObjectAddress, etag: string, signal: AbortSignal): Promise<OpenObject | undefined>
  /** The keys that begin with this prefix, in bytewise order. Each page has a deadline of its own. */
  list(prefix: string, signal: AbortSignal): AsyncIterable<string>
  /** Resolves if the server responds, accepts the credentials and has the bucket; else the message names the cause. */
  check(signal: AbortSignal): Promise<void>
  /** Absent: it is not a server. */
  readonly calls?: EndpointCalls
  /** Ends idle connections. No call may be in progress. */
  close(): void
}
