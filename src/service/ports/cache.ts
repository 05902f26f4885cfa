import type { Readable } from 'node:stream'
import type { ByteRange } from '../../domain/caching/http-caching.ts'
import type { MezzanineLevel } from '../../domain/picture/mezzanine.ts'
import type { OutputFormat } from '../../domain/spec/image-format.ts'
import type { ObjectSource } from './store.ts'

/** Incoming bytes: in a temporary file or memory, and hashed. Their owner calls `discard` at the end. */
export interface Spooled {
  readonly source: ObjectSource
  readonly sizeBytes: number
  /** The first bytes: at least `JPEG_HEAD_BYTES`, or all of them. */
  readonly head: Buffer
  /** Lower-case hex; empty if it was not requested. */
  readonly sha256: string
  /** As `sha256`. */
  readonly md5: string
  /** Frees the disk or memory. A file that was moved meanwhile is ignored. */
  discard(): Promise<void>
}

export type HashName = 'sha256' | 'md5'

export interface Intake {
  readonly maxBytes: number
  /** The hashes that are needed: 12 MP take 3 ms for an MD5, and 1 ms for a SHA-256. */
  readonly hashes: readonly HashName[]
}

/**
 * Stores a stream of unknown length. Both methods destroy `body` when they fail. Throws `original_too_large` beyond
 * `maxBytes`, and the error of the stream.
 */
export interface Spool {
  /** @throws UnavailableError `disk_unavailable` if the local disk is full or not writable. */
  toDisk(body: Readable, intake: Intake, signal: AbortSignal): Promise<Spooled>
  /** @throws UnavailableError `overloaded` if the memory limit is reached. */
  toMemory(body: Readable, intake: Intake, signal: AbortSignal): Promise<Spooled>
}

/**
 * Renditions and originals on the local disk. It may lose anything at any time, and everything can be made again; so
 * the adapter reports a failing disk to the operator, and the caller gets an absence.
 */
export interface ImageCache {
  /** mtime of the files that this process publishes; files of an earlier pipeline keep theirs. */
  readonly mtimeSeconds: number
  /** The first of `files` that exists. @param files Names in the folder of the image. */
  find(id: string, files: readonly string[]): Promise<CachedFile | undefined>
  /** Whether this disk has, or had, a file of this image. */
  has(id: string): Promise<boolean>
  /** The whole file. @returns undefined if it is gone. */
  read(id: string, file: string): Promise<Buffer | undefined>
  /** @returns a stream that the caller consumes, or undefined if the file is gone. */
  open(id: string, file: string, range?: ByteRange): Promise<Readable | undefined>
  /**
   * Publishes a complete file, which a crash of the machine cannot damage.
   * @param mtimeSeconds Whole seconds since 1970; absent: that of this process.
   * @returns false if the disk refuses.
   */
  publish(id: string, file: string, bytes: Buffer, mtimeSeconds?: number): Promise<boolean>
  /** True: `publish` takes a second or so, as renditions are published in groups now. A caller answers from memory meanwhile. */
  readonly isBusy: boolean
  /** Publishes at once what waits for a group. Resolves when all has been published, or after some seconds. */
  flush(): Promise<void>
  /** Gives a published file another name. @returns false if it is gone. */
  link(id: string, file: string, alias: string): Promise<boolean>
  /** Renews the access time. @returns false if the file is gone. */
  touch(id: string, file: CachedFile): Promise<boolean>
  /** Path of the original on this disk. Reading it renews its access time if the mount records access times. */
  findOriginal(id: string): Promise<string | undefined>
  /** @returns a stream that the caller consumes, or undefined if the original is not on this disk with this size. */
  openOriginal(id: string, sizeBytes: number, range?: ByteRange): Promise<Readable | undefined>
  /** Moves a spooled file into the cache as the original. @returns its path, or undefined if the disk refuses. */
  adoptOriginal(id: string, path: string): Promise<string | undefined>
  /** All mezzanines of an image on this disk, of the current version. They may be damaged. */
  readMezzanines(id: string): Promise<readonly KeptMezzanine[]>
  /**
   * Publishes a complete mezzanine, which a crash of the machine may still damage.
   * @returns its path, or undefined if the disk refuses.
   */
  publishMezzanine(id: string, level: MezzanineLevel, bytes: Buffer): Promise<string | undefined>
  /**
   * Hides all files of these images, at once; the sweep deletes them.
   * @returns the images that the disk refused to hide.
   */
  hide(ids: Iterable<string>): Promise<readonly string[]>
  /** Hides everything. @returns false if the disk refuses. */
  hideAll(): Promise<boolean>
  /** The last known state of an original that may change, by its `resourceId`. It may be damaged, and of any age. */
  readNotice(resource: string): Promise<string | undefined>
  writeNotice(resource: string, text: string): Promise<void>
  /** A small note that persists after the process. */
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
  /** Whole seconds since 1970: represents the pipeline that made the file, and is part of its ETag. */
  readonly mtimeSeconds: number
}

/** Renditions in the store, for originals of some sources. */
export interface RenditionShelf {
  /** @param file Its name in the cache. @returns undefined if there is none. */
  find(id: string, file: string, signal: AbortSignal): Promise<Buffer | undefined>
  /** In the background. */
  keep(id: string, file: string, made: MadeRendition): void
}

export interface MadeRendition {
  readonly bytes: Buffer
  readonly format: OutputFormat
  /** It was rendered in advance, to the fewest bytes. Default: false. */
  readonly primed?: boolean
}
