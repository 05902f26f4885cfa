import { parentPort } from 'node:worker_threads'
import { type NewFile, writeNewFile } from '../files/new-file.ts'

/** What the thread answers each file with, in their order. An error's code would not survive the way as a property. */
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
    // Frees it now: this thread makes so little garbage that copies of files would pile up to 100 MB before it is collected.
    if (file.bytes.buffer instanceof ArrayBuffer) file.bytes.buffer.transfer(0)
  }
}

// The entry of a thread, never imported for its values.
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
parentPort?.on('message', (file: NewFile) => parentPort?.postMessage(answer(file)))
