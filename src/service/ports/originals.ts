import type { Readable } from 'node:stream'
import type { Spooled } from './cache.ts'
import type { ObjectSource, OpenObject } from './store.ts'

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
