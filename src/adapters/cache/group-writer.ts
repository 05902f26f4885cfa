import type { NewFile, PreparedFile } from '../files/new-file.ts'
import type { DiskWriter } from './disk-writer.ts'

/**
 * Publishes files whose content is on the disk before they have their names, so that no power failure leaves a damaged one. A
 * sync of each file costs more than the rest of its publication. So while many files are published, they are written together,
 * one sync of the file system follows, and then they get their names.
 */
export interface GroupWriter {
  /** Replaces a file of this name. @throws The error of the disk, with its `code`. */
  publish(file: UnsyncedFile): Promise<void>
  /** Whether the next file waits for a group, which takes a second or so. */
  readonly isBusy: boolean
  /** Publishes what waits without further delay. Resolves when nothing waits any more, or after some seconds. */
  flush(): Promise<void>
}

export type UnsyncedFile = Omit<NewFile, 'durable'>

export interface GroupWriterOptions {
  readonly writer: Pick<DiskWriter, 'write' | 'prepare' | 'place'>
  /** Syncs the file system of the files. @returns false if that failed. */
  readonly sync: () => Promise<boolean>
  /** Monotonic, ms. */
  readonly now: () => number
}

/** Files that are published at once after a pause, each with a sync of its own, and their rate after those. */
const ALONE = { burst: 8, perSecond: 4 } as const
/** Least time from the start of a group to that of the next. */
const GROUP_MS = 1000
/** A slow disk spends at most a quarter of the time with our syncs. */
const PAUSE_PER_GROUP = 4
/** Up to this many files, their own syncs cost less than the start of a process. */
const FEW = 3
/** Bytes that wait. Beyond it, `isBusy` is false, so that callers wait for the disk instead of filling the memory. */
const MAX_WAITING_BYTES = 16 * 2 ** 20
/** The thread that writes has a copy of so many bytes at once. */
const CHUNK_BYTES = 2 ** 20
const FLUSH_MS = 5000

interface Waiting {
  readonly file: UnsyncedFile
  readonly done: PromiseWithResolvers<void>
}

export function createGroupWriter({ writer, sync, now }: GroupWriterOptions): GroupWriter {
  const alone = createAllowance(ALONE, now)
  let waiting: Waiting[] = []
  let waitingBytes = 0
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined
  let nextAt = 0

  function schedule(): void {
    if (waiting.length === 0 || running) return
    timer ??= setTimeout(run, Math.max(0, nextAt - now()))
  }

  function run(): void {
    clearTimeout(timer)
    timer = undefined
    const group = waiting
    waiting = []
    const began = now()
    running = publishGroup(group, writer, sync).then(() => {
      for (const { file } of group) waitingBytes -= file.bytes.length
      running = undefined
      nextAt = began + Math.max(GROUP_MS, PAUSE_PER_GROUP * (now() - began))
      schedule()
    })
  }

  const isGrouping = () => waiting.length > 0 || running !== undefined

  return {
    get isBusy() {
      return (isGrouping() || !alone.has()) && waitingBytes < MAX_WAITING_BYTES
    },
    async publish(file) {
      // A file must not be replaced by an older one of its name, which is in a group.
      if (!isGrouping() && alone.take()) {
        await writer.write({ ...file, durable: true })
        return
      }
      const done = Promise.withResolvers<void>()
      waiting.push({ file, done })
      waitingBytes += file.bytes.length
      schedule()
      await done.promise
    },
    async flush() {
      const rest = async () => {
        while (isGrouping()) {
          if (!running) run()
          await running
        }
      }
      const tooLate = Promise.withResolvers<void>()
      setTimeout(tooLate.resolve, FLUSH_MS).unref()
      await Promise.race([rest(), tooLate.promise])
    },
  }
}

/** Never rejects: each file has its own outcome. */
async function publishGroup(
  group: readonly Waiting[],
  writer: GroupWriterOptions['writer'],
  sync: GroupWriterOptions['sync'],
): Promise<void> {
  if (group.length <= FEW) {
    await Promise.all(
      group.map(({ file, done }) => writer.write({ ...file, durable: true }).then(done.resolve, done.reject)),
    )
    return
  }
  try {
    const written: { readonly prepared: PreparedFile; readonly done: Waiting['done'] }[] = []
    for (const chunk of chunksOf(group)) {
      const outcomes = await writer.prepare(chunk.map(({ file }) => ({ ...file, durable: false })))
      for (const [at, { file, done }] of chunk.entries()) {
        const outcome = outcomes[at]
        if (outcome?.error !== undefined) done.reject(outcome.error)
        else if (outcome) written.push({ prepared: { ...placeOf(file), aside: outcome.path, durable: false }, done })
      }
    }
    const isSynced = await sync()
    // Without the sync of the file system, each file is synced by itself.
    const errors = await writer.place(written.map(({ prepared }) => ({ ...prepared, durable: !isSynced })))
    for (const [at, { done }] of written.entries()) {
      if (errors[at]) done.reject(errors[at])
      else done.resolve()
    }
  } catch (error) {
    // The thread has ended. A promise that is settled already stays as it is.
    for (const { done } of group) done.reject(error)
  }
}

function placeOf({ folder, name }: UnsyncedFile): Pick<PreparedFile, 'folder' | 'name'> {
  return { folder, name }
}

function chunksOf(group: readonly Waiting[]): Waiting[][] {
  const chunks: Waiting[][] = []
  let bytes = Infinity
  for (const one of group) {
    if (bytes + one.file.bytes.length > CHUNK_BYTES) {
      chunks.push([])
      bytes = 0
    }
    chunks.at(-1)?.push(one)
    bytes += one.file.bytes.length
  }
  return chunks
}

/** A token bucket. */
function createAllowance({ burst, perSecond }: typeof ALONE, now: () => number) {
  let tokens: number = burst
  let at = now()
  function refill(): void {
    const time = now()
    tokens = Math.min(burst, tokens + ((time - at) / 1000) * perSecond)
    at = time
  }
  return {
    has(): boolean {
      refill()
      return tokens >= 1
    },
    take(): boolean {
      refill()
      if (tokens < 1) return false
      tokens -= 1
      return true
    },
  }
}
