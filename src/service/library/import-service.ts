import { DamagedFileError, OriginalError, UnavailableError } from '../../errors.ts'
import type { ImageEngine } from '../ports/engine.ts'
import type { ImportFile, ImportSource, UnreadablePlace } from '../ports/originals.ts'
import type { AliasService } from './alias-service.ts'
import type { IngestService } from './ingest-service.ts'

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

export interface ImportService {
  /**
   * Imports all originals of the source. It may be ended at any moment, in any way: the next run continues.
   * @throws UnavailableError if the store, or this node's disk, fails repeatedly.
   */
  run(signal: AbortSignal): Promise<ImportReport>
  /** Ends `run` after the originals in progress. */
  stop(): void
  progress(): ImportReport & { readonly doneShare: number }
}

export interface ImportServiceOptions {
  readonly source: ImportSource
  readonly ingest: IngestService
  readonly aliases: AliasService
  readonly engine: Pick<ImageEngine, 'inspect'>
  /** Originals at once. */
  readonly concurrency: number
  /** Checks and counts, and writes nothing. */
  readonly dryRun: boolean
  /** Called for each original that is not imported. */
  readonly onProblem: (path: string, problem: string) => void
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>
}

/** Pauses before the retries: a store may have a short outage during hours of work. */
const PAUSES_MS = [1000, 2000, 4000, 8000]

export function createImportService(options: ImportServiceOptions): ImportService {
  const { source, ingest, aliases, engine, concurrency, dryRun, onProblem, pause } = options
  const counts = { found: 0, imported: 0, importedBytes: 0, alreadyThere: 0, refused: 0, damaged: 0 }
  const began = performance.now()
  const state = { doneShare: 0, stopped: false }

  async function take(file: ImportFile | UnreadablePlace, signal: AbortSignal): Promise<void> {
    if ('problem' in file) {
      report('damaged', file.path, file.problem)
      return
    }
    counts.found += 1
    state.doneShare = Number.parseInt(file.sha1.slice(0, 4), 16) / 0x1_00_00
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
  }

  function report(outcome: 'refused' | 'damaged', path: string, problem: string): void {
    counts[outcome] += 1
    onProblem(path, problem)
  }

  /** The alias is written last: an original that has one is complete. */
  async function takeIn(file: ImportFile, signal: AbortSignal): Promise<void> {
    if ((await aliases.find(file.sha1, signal)) !== undefined) {
      counts.alreadyThere += 1
      return
    }
    const bytes = dryRun ? await check(file) : await store(file, signal)
    counts.imported += 1
    counts.importedBytes += bytes
  }

  async function store(file: ImportFile, signal: AbortSignal): Promise<number> {
    const { record } = await ingest.ingest(source.open(file), {}, signal)
    await aliases.add(file.sha1, record.id, signal)
    return record.bytes
  }

  async function check(file: ImportFile): Promise<number> {
    let bytes = 0
    const chunks: AsyncIterable<Buffer> = source.open(file)
    for await (const chunk of chunks) bytes += chunk.length
    await engine.inspect({ path: file.path })
    return bytes
  }

  function result(): ImportReport {
    return { dryRun, stopped: state.stopped, ...counts, seconds: (performance.now() - began) / 1000 }
  }

  return {
    async run(signal) {
      const files = source.files()[Symbol.asyncIterator]()
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
    progress: () => ({ ...result(), doneShare: state.doneShare }),
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
