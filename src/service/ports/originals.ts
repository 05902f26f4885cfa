import type { Readable } from 'node:stream'
import type { PictureVersion } from '../../domain/caching/http-caching.ts'
import type { OriginalError } from '../../errors.ts'
import type { HashName, MadeRendition, Spooled } from './cache.ts'
import type { ObjectSource, OpenObject } from './store.ts'

/** An original whose bytes never change: an upload, or one version of an original that may change. */
export interface Located {
  /** Of the upload, or by `versionId` or `transientId`. */
  readonly id: string
}

/** One version of an object or a remote image. */
export interface Version extends Located, PictureVersion {
  /** By `resourceId`. */
  readonly resource: string
  readonly sizeBytes: number
}

/**
 * A source of originals: the uploads, the buckets or the hosts. `L` is what the source has to know to open an original. Errors
 * of the system behind the source pass through.
 */
export interface OriginalSource<R, L extends Located> {
  /**
   * Finds the current version.
   * @param begun Called when the bytes of an original are being fetched: then the work is completed in any case.
   * @param known The last result for this reference, if there is one: the source then makes a conditional request.
   * @throws LimitError, OriginalError, RemoteError, UnavailableError
   */
  resolve(ref: R, known: L | undefined, signal: AbortSignal, begun?: () => void): L | Promise<L>
  /** @throws OriginalError `original_not_found`, `original_deleted`; ChangedError; UnavailableError */
  open(located: L, signal: AbortSignal): Promise<OpenObject>
  /** The error for an original that does not exist: whether it was deleted. Default: `original_not_found`. */
  absence?(located: L, signal: AbortSignal): Promise<OriginalError>
  /** @returns undefined if the original no longer exists. */
  sizeBytes(located: L, signal: AbortSignal): Promise<number | undefined>
  /** The hashes that `isGenuine` needs. */
  hashes(located: L): readonly HashName[]
  /** Whether these are the bytes of the original, as far as the source can tell. */
  isGenuine(located: L, spooled: Spooled): boolean
  /** Bytes that the source has in memory, and that are not on the disk of this node. */
  held?(located: L): ObjectSource | undefined
  /** Whether nodes may share renditions through the store. Default: no. */
  readonly sharesRenditions?: boolean
  /** Renditions that the source keeps for all nodes. @param file Name in the cache. */
  findRendition?(located: L, file: string, signal: AbortSignal): Promise<Buffer | undefined>
  /** In the background. */
  keepRendition?(located: L, file: string, made: MadeRendition): void
}

/** A source whose originals may change. The resolver remembers its results and revalidates them. */
export interface ChangingSource<R, V extends Version> extends OriginalSource<R, V> {
  /** Called first, so that a reference that is never served costs nothing. @throws RequestError */
  assertServed(ref: R): void
  /** Called before the first `resolve` of an unknown original, and before joining one. @throws LimitError */
  admit?(ref: R): void
  /** The result of an earlier process or of another node, of any age. */
  recall(ref: R, signal: AbortSignal): Promise<V | undefined>
  /** A request uses this version. */
  used?(version: V): void
  /** Approximate memory of a version, in bytes. */
  memoryBytes(version: V): number
  forget?(ids: ReadonlySet<string>): void
  /** Background tasks. */
  readonly pending: number
  /** Ends background work. */
  stop(): Promise<void>
}

/** Originals in a folder, in a bucket, or that another service keeps under the SHA-1 of their bytes. */
export interface ImportSource {
  /**
   * All of them in a fixed order, found lazily, as there may be millions.
   * @param after Path of the last one that is left out. Absent: none.
   */
  files(after?: string): AsyncIterable<ImportFile | UnreadablePlace>
  /**
   * @returns a stream that the caller consumes or destroys. It fails with `DamagedFileError` if it cannot be read or, at its
   *   end, if its bytes have another SHA-1; with OriginalError `original_broken` if its container does not end.
   */
  open(file: ImportFile): Readable
}

export interface ImportFile {
  readonly path: string
  /** The expected one, 40 lower-case hex digits. Absent: it is not known. */
  readonly sha1?: string
  readonly sizeBytes?: number
}

/** A folder or file that could not be read. */
export interface UnreadablePlace {
  readonly path: string
  readonly problem: string
}
