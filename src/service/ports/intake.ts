import type { Readable } from 'node:stream'
import type { FileState } from '../../domain/intake/settling.ts'
import type { UploadAnswer } from '../../domain/intake/upload-outcome.ts'

/** A file in the spool folder. */
export interface SpoolFile extends FileState {
  /** Relative to the spool folder, separated by slashes. For people: bytes that are not UTF-8 are replaced. */
  readonly path: string
  /** Changes with the content. */
  readonly version: string
  /** When the file got its content and its name. Milliseconds since 1970, by the clock of the file system. */
  readonly arrivedMs: number
}

export interface SpoolFolder<F extends SpoolFile> {
  /** The folders of the sources, and '' for the files of the spool folder itself. */
  sources(): Promise<readonly string[]>
  /** Files below a source that may be taken, found lazily. Also deletes uploads that were left unfinished long ago. */
  files(source: string): AsyncIterable<F>
  /**
   * @returns a stream that the caller consumes or destroys, and that fails with `DamagedFileError` if the file cannot be
   *   read; undefined if the file is gone or has another version by now.
   */
  open(file: F): Promise<Readable | undefined>
  /** @returns false if the file has another version by now, which stays. */
  remove(file: F): Promise<boolean>
  /** Calls `onChange` after changes in the folder, perhaps late or never: a scan finds what it misses. */
  watch(onChange: () => void): { stop(): void }
}

/** Why a file was rejected. */
export interface Rejection {
  readonly source: string
  /** Stable, as in the errors of the API. */
  readonly code: string
  readonly message: string
  /** Milliseconds since 1970. */
  readonly rejectedMs: number
}

export interface Quarantine<F extends SpoolFile> {
  /**
   * Moves a file out of the spool folder, and writes the reason beside it. The oldest files make room.
   * @returns 'changed' if the file has another version by now, which stays in the spool folder; 'deleted' if it is too
   *   large to be kept: then only its reason is.
   */
  put(file: F, rejection: Rejection): Promise<'kept' | 'deleted' | 'changed'>
  /** Deletes what is too old. */
  sweep(): Promise<void>
}

/** A file that the intake rejects, for an event. */
export interface RejectedUpload extends Rejection {
  readonly path: string
  readonly sizeBytes: number
  readonly labels: readonly string[]
  /** Milliseconds since 1970; the same for each attempt with the file. */
  readonly arrivedMs: number
}

export interface FileUpload {
  readonly body: Readable
  readonly sizeBytes: number
  /** Without folders. */
  readonly name: string
  readonly source: string
  readonly labels: readonly string[]
}

/** A node, over HTTP. */
export interface UploadClient {
  /** @throws Error if the node cannot be reached, or `body` fails. */
  upload(file: FileUpload, signal: AbortSignal): Promise<UploadAnswer>
  /** Reports a rejected file: with status 202 its event is durable. @throws Error if the node cannot be reached. */
  reportRejected(file: RejectedUpload, signal: AbortSignal): Promise<UploadAnswer>
}
