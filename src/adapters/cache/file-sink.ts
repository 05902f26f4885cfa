import type { FileHandle } from 'node:fs/promises'
import { open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Writable } from 'node:stream'
import { freeBuffer } from '../calls/free-buffer.ts'
import { asError } from '../calls/timed-body.ts'
import { FILE_MODE, inFolder } from '../files/new-file.ts'

/** Memory of all gathered chunks together. */
export interface GatheredMemory {
  bytes: number
}

/** A file is written in parts of this size: sockets deliver 64 kB, and each system call wakes another thread. */
const BATCH_BYTES = 1024 * 1024
/** Beyond this, chunks are written as they come. */
const MAX_GATHERED_BYTES = 16 * 1024 * 1024

/** Writes a new file in few system calls. Emits `close` when the file is closed. */
export function createFileSink(path: string, gathered: GatheredMemory): Writable {
  let file: FileHandle | undefined
  /** The last access to the disk. */
  let access: Promise<void> = Promise.resolve()
  let chunks: Buffer[] = []
  let held = 0

  function take(): Buffer[] {
    const taken = chunks
    chunks = []
    gathered.bytes -= held
    held = 0
    return taken
  }

  function begin(work: () => Promise<void>, done: (error?: Error | null) => void): void {
    access = work()
    access.then(() => done(), done)
  }

  return new Writable({
    construct(done) {
      begin(async () => {
        file = await inFolder(dirname(path), () => open(path, 'wx', FILE_MODE))
      }, done)
    },
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk)
      held += chunk.length
      gathered.bytes += chunk.length
      if (held < BATCH_BYTES && gathered.bytes < MAX_GATHERED_BYTES) done()
      else begin(() => writeAll(file, take()), done)
    },
    final: (done) => begin(() => writeAll(file, take()), done),
    destroy(error, done) {
      take()
      const close = () => file?.close()
      access.then(close, close).then(
        () => done(error),
        (cause: unknown) => done(error ?? asError(cause)),
      )
    },
  })
}

async function writeAll(file: FileHandle | undefined, chunks: readonly Buffer[]): Promise<void> {
  if (file === undefined || chunks.length === 0) return
  const { bytesWritten } = await file.writev(chunks)
  const sizeBytes = chunks.reduce((sum, { length }) => sum + length, 0)
  // A disk that is nearly full takes a part. The next write tells why.
  if (bytesWritten < sizeBytes) await file.appendFile(Buffer.concat(chunks).subarray(bytesWritten))
  for (const chunk of chunks) freeBuffer(chunk)
}
