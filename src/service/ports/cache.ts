import type { Readable } from 'node:stream'
import type { ByteRange } from '../../domain/caching/http-caching.ts'
import type { MezzanineLevel } from '../../domain/picture/mezzanine.ts'
import type { OutputFormat } from '../../domain/spec/image-format.ts'
import type { ObjectSource } from './store.ts'

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

/** Renditions that outlive the disks of the nodes: those of some originals. */
export interface RenditionShelf {
  /** @param file Its name in the cache. @returns undefined if there is none. */
  find(id: string, file: string, signal: AbortSignal): Promise<Buffer | undefined>
  /** In the background. */
  keep(id: string, file: string, made: MadeRendition): void
}

export interface MadeRendition {
  readonly bytes: Buffer
  readonly format: OutputFormat
}
