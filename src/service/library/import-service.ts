import { DamagedFileError, OriginalError, UnavailableError } from '../../errors.ts'
import type { ImportFile, UnreadablePlace } from '../ports/originals.ts'
import { createDoneMark } from './done-mark.ts'
import { createImportOne, type ImportOneOptions } from './import-one.ts'

/** Counts of an import, in originals. */
export interface ImportReport {
  readonly dryRun: boolean
  /** Whether it was stopped before the end. */
  readonly stopped: boolean
  readonly found: number
  /** In a dry run: would be imported. */
  readonly imported: number
  readonly importedBytes: number
  /** Imported or uploaded before; includes originals deleted since. */
  readonly alreadyThere: number
  /** Unsupported formats, and originals that are broken or too large. */
  readonly refused: number
  /** Unreadable files, and files whose content does not match their name. */
  readonly damaged: number
  readonly seconds: number
}

export interface ImportProgress {
  /** By the order of SHA-1. Absent: the source has another order. */
  readonly doneShare?: number
  /** Of all files that were found and are done. */
  readonly doneBytes: number
  /** Path of the last file before which everything is done. */
  readonly doneUpTo?: string
}

export interface ImportService {
  /**
   * Imports all originals of the source. It may be ended at any moment, in any way: the next run continues.
   * @throws UnavailableError if the store, or this node's disk, fails repeatedly.
   */
  run(signal: AbortSignal): Promise<ImportReport>
  /** Ends `run` after the originals in progress. */
  stop(): void
  progress(): ImportReport & ImportProgress
}

export interface ImportServiceOptions extends ImportOneOptions {
  /** Path of the last file of an earlier run, which is left out with all before. */
  readonly after?: string
  /** Originals at once. */
  readonly concurrency: number
  /** Called for each original that is not imported. */
  readonly onProblem: (path: string, problem: string) => void
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>
}

/** Pauses before the retries: a store may have a short outage during hours of work. */
const PAUSES_MS = [1000, 2000, 4000, 8000]

export function createImportService(options: ImportServiceOptions): ImportService {
  const { source, after, concurrency, dryRun, onProblem, pause } = options
  const importOne = createImportOne(options)
  const counts = { found: 0, imported: 0, importedBytes: 0, alreadyThere: 0, refused: 0, damaged: 0 }
  const began = performance.now()
  const state = { doneBytes: 0, stopped: false }
  let doneShare: number | undefined
  const mark = createDoneMark()

  async function take(file: ImportFile | UnreadablePlace, signal: AbortSignal): Promise<void> {
    if ('problem' in file) {
      report('damaged', file.path, file.problem)
      return
    }
    counts.found += 1
    if (file.sha1 !== undefined) doneShare = Number.parseInt(file.sha1.slice(0, 4), 16) / 0x1_00_00
    const done = mark.begin(file.path)
    try {
      await retryOutages(
        () => takeIn(file, signal),
        (ms) => pause(ms, signal),
      )
    } catch (error) {
      if (error instanceof DamagedFileError) report('damaged', file.path, error.message)
      else if (error instanceof OriginalError || isTooSlow(error)) report('refused', file.path, error.message)
      else throw error
    }
    state.doneBytes += file.sizeBytes ?? 0
    done()
  }

  function report(outcome: 'refused' | 'damaged', path: string, problem: string): void {
    counts[outcome] += 1
    onProblem(path, problem)
  }

  async function takeIn(file: ImportFile, signal: AbortSignal): Promise<void> {
    const { bytes, isNew } = await importOne(file, signal)
    if (!isNew) {
      counts.alreadyThere += 1
      return
    }
    counts.imported += 1
    counts.importedBytes += bytes
  }

  function result(): ImportReport {
    return { dryRun, stopped: state.stopped, ...counts, seconds: (performance.now() - began) / 1000 }
  }

  return {
    async run(signal) {
      const files = source.files(after)[Symbol.asyncIterator]()
      const work = async () => {
        for (let next = await files.next(); !next.done && !state.stopped; next = await files.next()) {
          await take(next.value, signal).catch((error: unknown) => {
            state.stopped = true
            throw error
          })
        }
      }
      // All workers have ended before a failure is reported.
      const ends = await Promise.allSettled(Array.from({ length: concurrency }, work))
      for (const end of ends) if (end.status === 'rejected') throw end.reason
      return result()
    },
    stop() {
      state.stopped = true
    },
    progress() {
      const doneUpTo = mark.path()
      return {
        ...result(),
        doneBytes: state.doneBytes,
        ...(doneShare !== undefined && { doneShare }),
        ...(doneUpTo !== undefined && { doneUpTo }),
      }
    },
  }
}

async function retryOutages(work: () => Promise<void>, pause: (ms: number) => Promise<void>): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await work()
    } catch (error) {
      const pauseMs = PAUSES_MS[attempt]
      if (!(error instanceof UnavailableError) || isTooSlow(error) || pauseMs === undefined) throw error
      await pause(pauseMs)
    }
  }
}

/** The decoder exceeds its timeout with such an original every time. */
function isTooSlow(error: unknown): error is UnavailableError {
  return error instanceof UnavailableError && error.code === 'timed_out'
}
