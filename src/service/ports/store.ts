import type { Readable } from 'node:stream'
import type { EndpointCalls } from './meter.ts'

/** An object that is being read. The caller consumes or destroys `body`: an unread body holds a connection. */
export interface OpenObject {
  /** Errors with an `UnavailableError` when it stalls or ends before `sizeBytes`. */
  readonly body: Readable
  readonly sizeBytes: number
  /** The whole object, if the store has read it already. Then `body` need not be consumed. */
  readonly bytes?: Buffer
  /**
   * Takes a retry from the budget of the server, after the body was truncated, stalled or corrupt. Absent: there is no budget,
   * and a retry is always allowed.
   * @returns false if the budget is empty: the object must not be opened again.
   */
  takeRetry?(): boolean
}

export interface ObjectStat {
  readonly sizeBytes: number
  /** Lower-case hex. Absent if the store has no MD5 of the whole object. */
  readonly md5?: string
  readonly modifiedAt: Date
}

/** An entry of a listing. */
export interface ListedObject {
  readonly key: string
  readonly sizeBytes: number
  readonly modifiedAt: Date
}

/** A file (read again for every attempt) or bytes in memory. */
export type ObjectSource = { readonly path: string } | { readonly bytes: Buffer }

export interface PutOptions {
  readonly contentType: string
  readonly sizeBytes: number
  /**
   * Lower-case hex MD5 of the bytes; sent as `Content-MD5`, so that the store rejects corrupt uploads. Absent: only the length is
   * verified, and a reader has to detect damage.
   */
  readonly md5?: string
  /**
   * Lower-case hex SHA-256 of the bytes, if the caller has it. A store may verify it instead of the MD5: with the instructions
   * for it, a processor takes a third of the time.
   */
  readonly sha256?: string
  /** Replace an existing object. Absent: create-only. */
  readonly overwrite?: boolean
  /** Part of a deletion: it may use the space that a file store reserves for deletions. */
  readonly forDeletion?: boolean
  /** It can be made again, and its reader detects damage: a crash of the machine may damage it or remove it. */
  readonly rebuildable?: boolean
  /**
   * The file is never written to again, and its reader detects damage: a store on the same file system keeps the file itself,
   * by a hard link, instead of a copy.
   */
  readonly mayLink?: boolean
}

/**
 * Objects by key in the store, the source of truth. Keys are `/`-separated, without a leading slash. Every method has a
 * deadline, and throws the reason of `signal` when that aborts. It throws `UnavailableError` (`store_unavailable`, or
 * `store_full` on a write) if the store is down or slow, refuses the credentials or has no such bucket: none of these
 * is reported as an absent key.
 */
export interface ObjectStore {
  /** @returns undefined if there is no such key. */
  open(key: string, signal: AbortSignal): Promise<OpenObject | undefined>
  /** @returns undefined if there is no such key. */
  stat(key: string, signal: AbortSignal): Promise<ObjectStat | undefined>
  /** Durable when it returns, unless it is `rebuildable`. @returns `exists` if the key is taken and `overwrite` is not set. */
  put(key: string, source: ObjectSource, options: PutOptions, signal: AbortSignal): Promise<'created' | 'exists'>
  /** Removes the key. An absent key is a success too. */
  remove(key: string, signal: AbortSignal): Promise<void>
  /** Keys that start with `prefix` and sort after `after` (bytewise, exclusive), in ascending order, page by page. */
  list(prefix: string, after: string, signal: AbortSignal): AsyncIterable<string>
  /** The same with size and time of each object; a file store has to `stat` every file. */
  listObjects(prefix: string, after: string, signal: AbortSignal): AsyncIterable<ListedObject>
  /** Resolves if the store responds, accepts the credentials and has the bucket; else the message names the cause. */
  check(signal: AbortSignal): Promise<void>
  /** Whether originals may be written. Leaves no object behind. */
  mayWrite(signal: AbortSignal): Promise<boolean>
  /** Whether a put is verified by its MD5 on the way. False: nothing is on the way, as with a disk. */
  readonly checksMd5: boolean
  /** Absent: it is not a server. */
  readonly calls?: EndpointCalls
  /** Ends idle connections. No call may be in progress. */
  close(): void
}
