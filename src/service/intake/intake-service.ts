import type { Unavailable } from '../../domain/intake/upload-outcome.ts'
import type { Quarantine, SpoolFile, SpoolFolder } from '../ports/intake.ts'
import type { FileMemory } from './file-memory.ts'
import { interleave } from './interleave.ts'
import type { Taken } from './take-file.ts'

/** Since the start. */
export interface IntakeCounts {
  readonly stored: number
  readonly storedBytes: number
  readonly rejected: number
}

/** What a pass over the spool folder left there. */
export interface Left {
  readonly files: number
  readonly bytes: number
  /** Age of the oldest, by its last byte. */
  readonly oldestMs: number
  /** Until the first of them may be tried again. */
  readonly nextLookMs: number
  /** Absent: all files were tried. */
  readonly unavailable?: Unavailable
}

export interface IntakeService {
  /** Takes all files that are complete. @throws the reason of `signal`. */
  pass(signal: AbortSignal): Promise<Left>
  counts(): IntakeCounts
}

export interface IntakeServiceOptions<F extends SpoolFile> {
  readonly spool: Pick<SpoolFolder<F>, 'sources' | 'files'>
  readonly quarantine: Pick<Quarantine<F>, 'sweep'>
  readonly takeFile: (file: F, signal: AbortSignal) => Promise<Taken>
  readonly memory: FileMemory
  /** Uploads at once. */
  readonly concurrency: number
  /** A file that could not be read, removed or moved. It stays, and is tried again. */
  readonly onTrouble: (path: string, error: unknown) => void
  readonly now: () => number
}

/** Until the next attempt with a file that the spool folder or the quarantine failed with. */
const TROUBLE_MS = 30_000

export function createIntakeService<F extends SpoolFile>(options: IntakeServiceOptions<F>): IntakeService {
  const { spool, quarantine, takeFile, memory, concurrency, onTrouble, now } = options
  const counts = { stored: 0, storedBytes: 0, rejected: 0 }

  async function look(file: F, signal: AbortSignal): Promise<Taken> {
    const delayMs = memory.delayOf(file)
    if (delayMs > 0) return { kind: 'left', afterMs: delayMs }
    try {
      return await takeFile(file, signal)
    } catch (error) {
      signal.throwIfAborted()
      onTrouble(file.path, error)
      return { kind: 'left', afterMs: memory.postpone(file, TROUBLE_MS) }
    }
  }

  function count(file: F, kind: 'stored' | 'rejected'): void {
    memory.forget(file)
    counts[kind] += 1
    if (kind === 'stored') counts.storedBytes += file.sizeBytes
  }

  return {
    counts: () => ({ ...counts }),
    async pass(signal) {
      await quarantine.sweep()
      const files = interleave((await spool.sources()).map((source) => spool.files(source)))
      let left: Left = { files: 0, bytes: 0, oldestMs: 0, nextLookMs: Infinity }
      const work = async () => {
        for (let next = await files.next(); !next.done && !left.unavailable; next = await files.next()) {
          const taken = await look(next.value, signal)
          if (taken.kind === 'left') left = addLeft(left, next.value, taken, now())
          else count(next.value, taken.kind)
          signal.throwIfAborted()
        }
      }
      const ends = await Promise.allSettled(Array.from({ length: concurrency }, work))
      await files.return()
      for (const end of ends) if (end.status === 'rejected') throw end.reason
      return left
    },
  }
}

function addLeft(left: Left, file: SpoolFile, taken: Extract<Taken, { kind: 'left' }>, now: number): Left {
  const unavailable = left.unavailable ?? taken.unavailable
  return {
    files: left.files + 1,
    bytes: left.bytes + file.sizeBytes,
    oldestMs: Math.max(left.oldestMs, now - file.modifiedMs),
    nextLookMs: Math.min(left.nextLookMs, taken.afterMs),
    ...(unavailable && { unavailable }),
  }
}
