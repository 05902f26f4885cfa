import type { Readable } from 'node:stream'

/** An object that is being read. The caller consumes or destroys `body`: an unread body holds a connection. */
export interface OpenObject {
  /** Errors with an `UnavailableError` when it stalls or ends before `sizeBytes`. */
  readonly body: Readable
  readonly sizeBytes: number
  /**
   * Takes a retry from the budget of the server, after the body was truncated, stalled or corrupt. Absent: there is no budget,
   * and a retry is always allowed.
   * @returns false if the budget is empty: the object must not be opened again.
   */
  takeRetry?(): boolean
}

export interface ObjectStat {
  readonly sizeBytes: number
  /** Lower-case hex, where the store vouches for one of the whole object's bytes; else absent. */
  readonly md5?: string
  readonly modifiedAt: Date
}

/** An object in a list of them. */
export interface ListedObject {
  readonly key: string
  readonly sizeBytes: number
  readonly modifiedAt: Date
}

/** What to write: a file (read again for every attempt) or bytes in memory. */
export type ObjectSource = { readonly path: string } | { readonly bytes: Buffer }

export interface PutOptions {
  readonly contentType: string
  readonly sizeBytes: number
  /** Lower-case hex MD5 of the bytes; sent as `Content-MD5`, so that the store refuses what was damaged on the way. */
  readonly md5: string
  /** Replace what is there. Without it the write is create-only, and an existing object is left alone. */
  readonly overwrite?: boolean
  /** A deletion has to write it: it may use the space that a store on a disk keeps for this. */
  readonly forDeletion?: boolean
}

/**
 * Objects by key in the store that holds the truth. Keys are `/`-separated, without a leading slash. Every method ends by
 * a deadline of the adapter's own or when `signal` aborts (it then throws the signal's reason), and throws
 * `UnavailableError` (`store_unavailable`, or `store_full` on a write) when the store is down, slow, refuses our
 * credentials or lacks the bucket. Those are never taken for an absent key.
 */
export interface ObjectStore {
  /** @returns undefined if there is no such key. */
  open(key: string, signal: AbortSignal): Promise<OpenObject | undefined>
  /** @returns undefined if there is no such key. */
  stat(key: string, signal: AbortSignal): Promise<ObjectStat | undefined>
  /** Durable when it returns. @returns `exists` if the key is taken and `overwrite` is not set. */
  put(key: string, source: ObjectSource, options: PutOptions, signal: AbortSignal): Promise<'created' | 'exists'>
  /** Removes the key; a key that isn't there is a success too. */
  remove(key: string, signal: AbortSignal): Promise<void>
  /** Keys that start with `prefix` and sort after `after` (bytewise, exclusive), in ascending order, page by page. */
  list(prefix: string, after: string, signal: AbortSignal): AsyncIterable<string>
  /** The same with size and time of each; on a disk it costs a look at every file. */
  listObjects(prefix: string, after: string, signal: AbortSignal): AsyncIterable<ListedObject>
  /** Resolves if the store answers, knows us and has the bucket; else throws with a message that says which it was. */
  check(signal: AbortSignal): Promise<void>
  /** Whether this store lets us write originals. Leaves nothing behind. */
  mayWrite(signal: AbortSignal): Promise<boolean>
  /** Ends idle connections. Nothing may be under way. */
  close(): void
}
