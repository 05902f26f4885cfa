import type { Readable } from 'node:stream'
import type { ByteRange } from '../../domain/caching/http-caching.ts'
import type { ImageInfo } from '../../domain/info/image-info.ts'
import type { MezzanineLevel } from '../../domain/picture/mezzanine.ts'
import type { OriginalFacts } from '../../domain/picture/original-facts.ts'
import type { Plan } from '../../domain/picture/transform-plan.ts'
import type { OutputFormat } from '../../domain/spec/image-format.ts'

/** An object being read. Whoever opened it consumes or destroys `body`: an unread one holds a connection. */
export interface OpenObject {
  /** Errors with an `UnavailableError` when it stalls, is cut or ends before `sizeBytes`. */
  readonly body: Readable
  readonly sizeBytes: number
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
  /**
   * Whether what came damaged may be asked for once more: a server that fails steadily is asked again only now and then. It
   * takes one of these turns, so ask once for each.
   */
  mayRetry(): boolean
  /** Ends idle connections. Nothing may be under way. */
  close(): void
}

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
  /**
   * Whether what came damaged may be asked for once more: a server that fails steadily is asked again only now and then. It
   * takes one of these turns, so ask once for each.
   */
  mayRetry(): boolean
  /** Ends idle connections. Nothing may be under way. */
  close(): void
}

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

/** Bytes on their way in: written aside and hashed as they came. Whoever has them calls `discard` in the end. */
export interface Spooled {
  readonly source: ObjectSource
  readonly sizeBytes: number
  /** Lower-case hex. */
  readonly sha256: string
  /** Lower-case hex. */
  readonly md5: string
  /** Frees the disk or memory; a file that was moved away meanwhile is no error. */
  discard(): Promise<void>
}

/**
 * Takes in a stream without trusting its length. Both methods destroy `body` when they fail.
 * Throws `original_too_large` beyond `maxBytes`, and what the stream itself failed with.
 */
export interface Spool {
  /** @throws UnavailableError `disk_unavailable` if this node's disk is full or cannot be written. */
  toDisk(body: Readable, maxBytes: number, signal: AbortSignal): Promise<Spooled>
  /** @throws UnavailableError `overloaded` if the memory for such bytes is all in use. */
  toMemory(body: Readable, maxBytes: number, signal: AbortSignal): Promise<Spooled>
}

/**
 * Who has the bytes of originals, by their ids: those of uploads, and those of the versions of what is kept elsewhere. Throws
 * what the system behind it throws when that fails.
 */
export interface OriginalHolder {
  /** Bytes that are at hand and on no disk of this node. */
  held?(id: string): ObjectSource | undefined
  /** @throws OriginalError `original_not_found`, `original_deleted` */
  open(id: string, signal: AbortSignal): Promise<OpenObject>
  /** @returns undefined if there is no such original any more. */
  sizeBytes(id: string, signal: AbortSignal): Promise<number | undefined>
  /** Whether these bytes are that original, as far as its holder can tell. */
  isGenuine(id: string, spooled: Spooled): boolean
  /** As of the store or bucket that has it. */
  mayRetry(id: string): boolean
}

/**
 * Renditions and originals on this node's disk. It may lose anything at any time, and everything in it can be made again;
 * so a disk that fails is told to the operator by the adapter, and to the caller only as an absence.
 */
export interface ImageCache {
  /** mtime of the files that this process publishes; those of an earlier pipeline keep theirs. */
  readonly mtimeSeconds: number
  /** The first of `files` that is there. @param files Names in the image's folder. */
  find(id: string, files: readonly string[]): Promise<CachedFile | undefined>
  /** The whole file. @returns undefined if it is gone. */
  read(id: string, file: string): Promise<Buffer | undefined>
  /** @returns a stream that the caller consumes, or undefined if the file is gone. */
  open(id: string, file: string, range?: ByteRange): Promise<Readable | undefined>
  /**
   * Makes a complete file visible.
   * @param mtimeSeconds Whole seconds since 1970; absent: this process's own.
   * @returns false if the disk could not take it.
   */
  publish(id: string, file: string, bytes: Buffer, mtimeSeconds?: number): Promise<boolean>
  /** Gives a published file another name. @returns false if it is gone. */
  link(id: string, file: string, alias: string): Promise<boolean>
  /** Renews the access time. @returns false if the file is gone. */
  touch(id: string, file: CachedFile): Promise<boolean>
  /** Path of the original on this disk. Reading it renews its access time where the mount keeps them. */
  findOriginal(id: string): Promise<string | undefined>
  /** @returns a stream that the caller consumes, or undefined if the original is not on this disk with that size. */
  openOriginal(id: string, sizeBytes: number, range?: ByteRange): Promise<Readable | undefined>
  /** Moves a spooled file in as the original. @returns its path, or undefined if the disk could not take it. */
  adoptOriginal(id: string, path: string): Promise<string | undefined>
  /** All mezzanines of an image that are on this disk, of the present form. They may be damaged. */
  readMezzanines(id: string): Promise<readonly KeptMezzanine[]>
  /**
   * Makes a complete mezzanine visible, which a crash of the machine may still damage.
   * @returns its path, or undefined if the disk could not take it.
   */
  publishMezzanine(id: string, level: MezzanineLevel, bytes: Buffer): Promise<string | undefined>
  /**
   * Hides all that is here of these images, at once; the sweep deletes it.
   * @returns the images that the disk did not let be hidden.
   */
  hide(ids: Iterable<string>): Promise<readonly string[]>
  /** Hides everything. @returns false if the disk did not let that be. */
  hideAll(): Promise<boolean>
  /** What was last told of an original that may change, by its `resourceId`. It may be damaged, and of any age. */
  readNotice(resource: string): Promise<string | undefined>
  writeNotice(resource: string, text: string): Promise<void>
  /** A small note that outlives the process. */
  readNote(name: string): Promise<string | undefined>
  writeNote(name: string, text: string): Promise<void>
}

export interface KeptMezzanine {
  readonly level: MezzanineLevel
  readonly path: string
  readonly bytes: Buffer
}

export interface CachedFile {
  readonly file: string
  readonly sizeBytes: number
  /** Whole seconds since 1970: stands for the pipeline that made the file, and becomes part of its ETag. */
  readonly mtimeSeconds: number
}

/**
 * Decodes and encodes. Its promises settle only when the work has really ended. All throw UnavailableError
 * `disk_unavailable` if the file of the source is gone.
 */
export interface ImageEngine {
  /**
   * What the header says.
   * @throws OriginalError `original_unsupported`, `original_broken`, or `original_too_large` (pixels or frames).
   */
  inspect(source: ObjectSource): Promise<OriginalFacts>
  /** Decodes to the end. @throws OriginalError `original_broken` */
  verify(source: ObjectSource, facts: OriginalFacts): Promise<void>
  /**
   * Makes a rendition for each plan from one decoding of the source. Each promise settles as soon as its picture is made
   * or has failed: OriginalError `original_broken`; UnavailableError `timed_out`.
   */
  render(source: ObjectSource, plans: readonly Plan[]): readonly Promise<Buffer>[]
  /**
   * Looks at the picture as it is shown, and reads what the file says of it.
   * @throws OriginalError `original_broken`; UnavailableError `timed_out`
   */
  measure(source: ObjectSource, facts: OriginalFacts): Promise<ImageInfo>
  /**
   * Makes upright sRGB pictures of an original, from one decoding, without metadata but its copyright.
   * @throws OriginalError `original_broken`; UnavailableError `timed_out`
   */
  reduce(source: ObjectSource, facts: OriginalFacts, levels: readonly MezzanineLevel[]): Promise<readonly Reduced[]>
}

export interface Reduced {
  readonly level: MezzanineLevel
  /** By `mezzanineFormat`. */
  readonly bytes: Buffer
}

/** Originals that another service keeps under the SHA-1 of their bytes. */
export interface ImportSource {
  /** All of them in the order of their SHA-1, found while they are asked for; their number may be in the millions. */
  files(): AsyncIterable<ImportFile | UnreadablePlace>
  /**
   * @returns a stream that the caller consumes or destroys. It fails with `DamagedFileError` if it cannot be read or, at its
   *   end, if its bytes have another SHA-1.
   */
  open(file: ImportFile): Readable
}

export interface ImportFile {
  readonly path: string
  /** That it should have. 40 lower-case hex digits. */
  readonly sha1: string
}

/** Where files may be that could not be looked at. */
export interface UnreadablePlace {
  readonly path: string
  readonly problem: string
}

/** What the services tell of themselves. Seconds. */
export interface Meter {
  rendered(seconds: number): void
  fetched(seconds: number): void
  waited(seconds: number): void
  /** Something outside failed, and the service went on without it. */
  trouble(message: string, cause: unknown): void
}

/** Renditions that outlive the disks of the nodes: those of some originals. */
export interface RenditionShelf {
  /** @param file Its name in the cache. @returns undefined if there is none. */
  find(id: string, file: string, signal: AbortSignal): Promise<Buffer | undefined>
  /** In the background. */
  keep(id: string, file: string, made: { readonly bytes: Buffer; readonly format: OutputFormat }): void
}
