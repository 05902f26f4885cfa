import { Worker } from 'node:worker_threads'
import type { NewFile } from '../files/new-file.ts'
import type { WriterAnswer } from './disk-writer-worker.ts'

/**
 * Writes whole files aside and moves them into place, in threads of its own. A file takes up to a dozen calls of the system,
 * and for each that Node makes asynchronously it wakes another thread, which costs more than the call itself: a first view
 * takes a fifth less CPU time of the node this way.
 */
export interface DiskWriter {
  /** @throws what the disk says: an error with its `code`. */
  write(file: NewFile): Promise<void>
  /** Threads that it has now. */
  readonly threads: number
}

/** One does for a quick disk, and takes 25 MB; on a slow one a file is synced while others are written. */
const MAX_THREADS = 4
/** So many files that wait for one thread are a reason for another. */
const LONG_QUEUE = 4
/** A thread that has written nothing for so long ends, unless it is the last one: it would keep its memory for good. */
const IDLE_MS = 10_000

interface Thread {
  readonly worker: Worker
  /** In the order of their answers. */
  readonly pending: PromiseWithResolvers<void>[]
  idleTimer?: NodeJS.Timeout
}

export function createDiskWriter({ idleMs = IDLE_MS }: { readonly idleMs?: number } = {}): DiskWriter {
  const threads: Thread[] = []

  function start(): Thread {
    const worker = new Worker(new URL('./disk-writer-worker.ts', import.meta.url), { env: {}, execArgv: [] })
    const thread: Thread = { worker, pending: [] }
    worker.on('message', (answer: WriterAnswer) => {
      const written = thread.pending.shift()
      if (thread.pending.length === 0) rest(thread)
      if (answer.error === undefined) written?.resolve()
      else written?.reject(Object.assign(new Error(answer.error), { code: answer.code }))
    })
    worker.on('error', (cause) => end(thread, cause))
    worker.on('exit', () => end(thread))
    threads.push(thread)
    return thread
  }

  function rest(thread: Thread): void {
    thread.worker.unref()
    thread.idleTimer = setTimeout(() => {
      if (threads.length === 1 || thread.pending.length > 0) return
      threads.splice(threads.indexOf(thread), 1)
      void thread.worker.terminate()
    }, idleMs)
    thread.idleTimer.unref()
  }

  /** Whoever writes next starts another one. To the rest of the node it is a failing disk. */
  function end(thread: Thread, cause?: unknown): void {
    clearTimeout(thread.idleTimer)
    const at = threads.indexOf(thread)
    if (at >= 0) threads.splice(at, 1)
    const error = Object.assign(new Error('The thread that writes files has exited', { cause }), { code: 'EIO' })
    for (const written of thread.pending.splice(0)) written.reject(error)
  }

  function leastBusy(): Thread {
    const [first = start(), ...others] = threads
    const least = others.reduce((one, other) => (other.pending.length < one.pending.length ? other : one), first)
    return least.pending.length >= LONG_QUEUE && threads.length < MAX_THREADS ? start() : least
  }

  start().worker.unref()
  return {
    write(file) {
      const { worker, pending, idleTimer } = leastBusy()
      clearTimeout(idleTimer)
      const written = Promise.withResolvers<void>()
      pending.push(written)
      // A node with something to write must not end; one without need not wait for its threads.
      worker.ref()
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
      worker.postMessage(file)
      return written.promise
    },
    get threads() {
      return threads.length
    },
  }
}
