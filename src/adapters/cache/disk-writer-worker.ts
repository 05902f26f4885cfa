import { parentPort } from 'node:worker_threads'
import { type NewFile, writeNewFile } from '../files/new-file.ts'

/** The response of the thread to each file, in order. The code of an error would be lost between threads. */
export type WriterAnswer =
  | { readonly error?: undefined }
  | { readonly error: string; readonly code: string | undefined }

function answer(file: NewFile): WriterAnswer {
  try {
    writeNewFile(file)
    return {}
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
    return { error: error instanceof Error ? error.message : String(error), code }
  } finally {
    // Freed at once: this thread makes so little garbage that copies of files would grow to 100 MB before a collection.
    if (file.bytes.buffer instanceof ArrayBuffer) file.bytes.buffer.transfer(0)
  }
}

// The entry of a thread: no other module imports its values.
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
parentPort?.on('message', (file: NewFile) => parentPort?.postMessage(answer(file)))
