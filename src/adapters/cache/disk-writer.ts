import { Worker } from 'node:worker_threads'
import type { NewFile, PreparedFile } from '../files/new-file.ts'
import type { WriterAnswer, WriterTask } from './disk-writer-worker.ts'

/**
 * Writes files in threads of its own. A file takes up to a dozen system calls, and for each asynchronous one Node wakes
 * another thread, which costs more than the call: a first view takes a fifth less CPU time of the node this way.
 */
export interface DiskWriter {
  /** @throws The error of the disk, with its `code`. */
  write(file: NewFile): Promise<void>
  /** Writes files that do not have their names yet. */
  prepare(files: readonly NewFile[]): Promise<readonly Prepared[]>
  /** Gives prepared files their names. @returns for each file the error of the disk, if it refuses. */
  place(files: readonly PreparedFile[]): Promise<readonly (Error | undefined)[]>
  readonly threads: number
}

/** Path of a written file, or the error of the disk. */
export type Prepared = { readonly path: string; readonly error?: undefined } | { readonly error: Error }

/** One suffices for a fast disk, and takes 12 MB; on a slow disk a file is synced while others are written. */
const MAX_THREADS = 2
/** Tasks that wait for a thread before another one is started: a start takes as much CPU time as writing 300 files. */
const LONG_QUEUE = 16
/** The same if the first of them is not done after this time: then the disk is slow. */
const QUEUE_OF_SLOW_DISK = { tasks: 4, ms: 50 } as const
/** An idle thread ends after this time, unless it is the last one, as it would keep its memory. */
const IDLE_MS = 10_000

interface Pending extends PromiseWithResolvers<readonly WriterAnswer[]> {
  /** By `performance.now()`. */
  readonly since: number
}

interface Thread {
  readonly worker: Worker
  /** In the order of the responses. */
  readonly pending: Pending[]
  idleTimer?: NodeJS.Timeout
}

export interface DiskWriterOptions {
  readonly idleMs?: number
  /** Folder for compiled code, which halves the memory of a thread: it need not load the compiler of TypeScript. */
  readonly codeFolder?: string
}

export function createDiskWriter({ idleMs = IDLE_MS, codeFolder }: DiskWriterOptions = {}): DiskWriter {
  const env = codeFolder === undefined ? {} : { NODE_COMPILE_CACHE: codeFolder }
  const threads: Thread[] = []

  function start(): Thread {
    const worker = new Worker(new URL('./disk-writer-worker.ts', import.meta.url), { env, execArgv: [] })
    const thread: Thread = { worker, pending: [] }
    worker.on('message', (answers: readonly WriterAnswer[]) => {
      const done = thread.pending.shift()
      if (thread.pending.length === 0) rest(thread)
      done?.resolve(answers)
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

  /** The next write starts another thread. For its callers the disk has failed. */
  function end(thread: Thread, cause?: unknown): void {
    clearTimeout(thread.idleTimer)
    const at = threads.indexOf(thread)
    if (at >= 0) threads.splice(at, 1)
    const error = Object.assign(new Error('The thread that writes files has exited', { cause }), { code: 'EIO' })
    for (const done of thread.pending.splice(0)) done.reject(error)
  }

  function leastBusy(): Thread {
    const [first = start(), ...others] = threads
    const least = others.reduce((one, other) => (other.pending.length < one.pending.length ? other : one), first)
    return isLong(least.pending) && threads.length < MAX_THREADS ? start() : least
  }

  function run(task: WriterTask): Promise<readonly WriterAnswer[]> {
    const { worker, pending, idleTimer } = leastBusy()
    clearTimeout(idleTimer)
    const done = { ...Promise.withResolvers<readonly WriterAnswer[]>(), since: performance.now() }
    pending.push(done)
    // Pending writes keep the process alive; idle threads do not.
    worker.ref()
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
    worker.postMessage(task)
    return done.promise
  }

  start().worker.unref()
  return {
    async write(file) {
      const [answer] = await run({ kind: 'write', files: [file] })
      if (answer?.error !== undefined) throw errorOf(answer)
    },
    async prepare(files) {
      const answers = await run({ kind: 'prepare', files })
      return answers.map((answer) => (answer.error === undefined ? answer : { error: errorOf(answer) }))
    },
    async place(files) {
      const answers = await run({ kind: 'place', files })
      return answers.map((answer) => (answer.error === undefined ? undefined : errorOf(answer)))
    },
    get threads() {
      return threads.length
    },
  }
}

function isLong(pending: readonly Pending[]): boolean {
  const { tasks, ms } = QUEUE_OF_SLOW_DISK
  const [first] = pending
  const isSlow = first !== undefined && pending.length >= tasks && performance.now() - first.since >= ms
  return isSlow || pending.length >= LONG_QUEUE
}

function errorOf({ error, code }: Extract<WriterAnswer, { readonly error: string }>): Error {
  return Object.assign(new Error(error), { code })
}
