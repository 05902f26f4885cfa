import { parentPort } from 'node:worker_threads'
import { type NewFile, type PreparedFile, placePrepared, prepareNewFile, writeNewFile } from '../files/new-file.ts'

/** Work on some files, in this order. */
export type WriterTask =
  /** Publishes complete files. */
  | { readonly kind: 'write'; readonly files: readonly NewFile[] }
  /** The first half of it. */
  | { readonly kind: 'prepare'; readonly files: readonly NewFile[] }
  /** The second half of it. */
  | { readonly kind: 'place'; readonly files: readonly PreparedFile[] }

/** The path of each file of a task, in order, or its error. The code of an error would be lost between threads. */
export type WriterAnswer =
  | { readonly error?: undefined; readonly path: string }
  | { readonly error: string; readonly code: string | undefined }

function answersTo(task: WriterTask): WriterAnswer[] {
  if (task.kind === 'place') return task.files.map((file) => outcomeOf(() => placePrepared(file)))
  const act = task.kind === 'write' ? writeNewFile : prepareNewFile
  const outcomes = task.files.map((file) => outcomeOf(() => act(file)))
  // Freed at once: this thread makes so little garbage that copies of files would grow to 100 MB before a collection.
  for (const buffer of new Set(task.files.map(({ bytes }) => bytes.buffer))) {
    if (buffer instanceof ArrayBuffer) buffer.transfer(0)
  }
  return outcomes
}

function outcomeOf(act: () => string): WriterAnswer {
  try {
    return { path: act() }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
    return { error: error instanceof Error ? error.message : String(error), code }
  }
}

// The entry of a thread: no other module imports its values.
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
parentPort?.on('message', (task: WriterTask) => parentPort?.postMessage(answersTo(task)))
